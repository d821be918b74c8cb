"""MagnaTagATune, the paper's data set (§4.1): 25,863 clips of 29 s in folders 0 to f.

Downloaded from City University, or else from a mirror on the Hugging Face hub; or taken from a
copy, unpacked or in zips. Split by folder as in the paper; the 50 tags are the most frequent ones
over the whole table of annotations, as is usual, not over train alone. Every clip is cut to the
same length from its start (they last 29.1 s), and mp3s that do not decode are left out and listed.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd

from multiscale.config import ParameterError
from multiscale.datasets import magnatagatune_files as files
from multiscale.datasets.base import ClipDataset, DatasetSettings
from multiscale.datasets.collection import Collection, Gathered
from multiscale.datasets.magnatagatune_files import ANNOTATIONS, CLIP_INFO
from multiscale.datasets.tables import read_text
from multiscale.datasets.tracks import Track, digest
from multiscale.identity import code_digest

NOTICE = (
    "MagnaTagATune (Law, West, Mandel, Bay & Downie, ISMIR 2009), from the Music Informatics "
    "Research Group of City University London. Music by the artists of Magnatune, CC BY-NC-SA 1.0; "
    "for research, not for sale."
)

LICENCE = "CC BY-NC-SA 1.0 (Magnatune)"
"""Of the music."""

FOLDERS = dict.fromkeys("0123456789ab", "train") | {"c": "valid"} | dict.fromkeys("def", "test")
"""Folder -> split, as in the paper."""

PUBLISHED = {"train": 18_709, "valid": 1_825, "test": 5_329}
"""Clips of each split, with the three whose mp3s are broken."""

N_BROKEN = 3
"""Clips of train whose mp3s do not decode: clip_id 35644, 55753 and 57881."""

N_ARTISTS = 230
"""Artists of all clips."""

COUNTED = {
    "artists in several parts": 56,
    "artists in test": 75,
    "of these, in train too": 45,
    "tags to predict": 50,
    "test clips without any tag": 997,
}
"""Counted in the published tables: what the paper's split makes of artists and tags."""

# As K. Choi proposes (github.com/keunwoochoi/magnatagatune-list, "Proposed tag preprocessing"),
# with "female vocal", which that list leaves out though it has "male vocal".
_SYNONYMS = """
    beat, beats; chant, chanting; choir, choral; classical, clasical, classic; drum, drums;
    electro, electronic, electronica, electric; fast, fast beat, quick; female, female singer, \
female singing, female vocal, female vocals, female voice, woman, woman singing, women;
    flute, flutes; guitar, guitars; hard, hard rock; harpsichord, harpsicord; heavy, heavy metal, \
metal; horn, horns; india, indian; jazz, jazzy; male, male singer, male vocal, male vocals, \
male voice, man, man singing, men; no beat, no drums; no singer, no singing, no vocal, no vocals, \
no voice, no voices, instrumental; opera, operatic; orchestra, orchestral; quiet, silence;
    singer, singing; space, spacey; string, strings; synth, synthesizer; violin, violins;
    vocal, vocals, voice, voices; strange, weird
"""
SYNONYMS = tuple(tuple(group.strip().split(", ")) for group in _SYNONYMS.split(";"))
"""Tags that mean one thing; the first gives its name to all."""


class Source(Collection):
    """MagnaTagATune, of some settings: all that determines it but the code is a copy's stamps."""

    name, notice, max_clips = "magnatagatune", NOTICE, 1

    def __init__(self, settings: DatasetSettings):
        super().__init__(settings)
        stats = [(p.name, p.stat()) for p in files.parts(settings.path)] if settings.path else []
        stamps = str([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])
        self.origin = str(files.root_of(settings.path)) if settings.path else "downloaded"
        known = settings.model_dump()
        self.identity = {**known, "code": code_digest(__name__), "files": digest(stamps)}

    def gathered(self) -> Gathered:
        """Find or fetch the mp3s and what is said of them."""
        settings, tracks, skipped = self.settings, [], []
        place = files.copied(settings.path) if settings.path else files.fetched()
        table, tag_names = read_tables(place.tables, settings.n_tags, settings.merge_synonyms)
        for row in table.itertuples():
            path = place.music / row.mp3_path
            if not files.CLIP.fullmatch(row.mp3_path):
                skipped.append((row.mp3_path, "expected a path such as 0/name.mp3"))
            elif row.mp3_path in place.broken:
                skipped.append((row.mp3_path, place.broken[row.mp3_path]))
            elif not path.is_file():
                skipped.append((row.mp3_path, "expected an mp3, got nothing there"))
            else:
                known = {"artist": row.artist, "title": row.title, "licence": LICENCE}
                split = FOLDERS[row.mp3_path[0]]
                tracks.append(Track.of(path, row.mp3_path, split=split, tags=row.tags, **known))
        return Gathered(tracks, skipped, tag_names)

    def n_clips(self) -> int:
        """Clips that ``load`` gives: counted, or as published until they are downloaded."""
        if self.settings.path is None and self.stored() is None:
            published = sum(PUBLISHED.values()) - N_BROKEN
            return min(self.settings.n_clips or published, published)
        return super().n_clips()

    def check(self, dataset: ClipDataset) -> list[str]:
        """A sentence for each count that is not as published, less the skipped files."""
        if self.settings.n_clips is not None:
            return []  # a part of it
        found, left_out = [], dataset.skipped["path"].str[0].map(FOLDERS)
        for split, n_published in PUBLISHED.items():
            n_clips, n_skipped = (dataset.clips["split"] == split).sum(), (left_out == split).sum()
            if n_clips + n_skipped != n_published:
                found.append(
                    f"{split}: expected {n_published} clips less {n_skipped} skipped ones, "
                    f"got {n_clips}"
                )
        n_artists = dataset.clips["artist"].nunique()
        if n_artists != N_ARTISTS:
            found.append(f"artists: expected {N_ARTISTS}, got {n_artists}")
        return found


def read_tables(folder: Path, n_tags: int, merge: bool) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Clips with mp3_path, artist, title and tags, a tuple of those kept; and the tags kept.

    Kept are the ``n_tags`` most frequent ones of all annotated clips, ties by name. A table that is
    not as published is a ParameterError that names its line.
    """
    table = _read(folder / ANNOTATIONS, ("clip_id", "mp3_path"))
    info = _read(folder / CLIP_INFO, ("clip_id", "artist", "title"))
    given = _flags(folder / ANNOTATIONS, table.drop(columns=["clip_id", "mp3_path"]))
    if merge:  # a clip has the first name of a group that has any of its names
        name = {tag: group[0] for group in SYNONYMS for tag in group}
        given = given.T.groupby(lambda tag: name.get(tag, tag), sort=False).any().T
    counts = given.sum()
    names = sorted(counts.index[counts > 0], key=lambda name: (-counts[name], name))[:n_tags]
    kept = given[names].to_numpy(bool)
    clips = table[["clip_id", "mp3_path"]].merge(
        info[["clip_id", "artist", "title"]], "left", "clip_id", validate="1:1"
    )
    clips = clips.drop(columns="clip_id").fillna("")
    clips["tags"] = [tuple(np.array(names, object)[row]) for row in kept]
    return clips, tuple(names)


def _read(path: Path, required: tuple[str, ...]) -> pd.DataFrame:
    """One table, all of it text."""
    text = read_text(path)
    try:
        table = pd.read_csv(io.StringIO(text), sep="\t", dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ParameterError(f"{path}: {' '.join(str(error).split())}") from error
    lacking = [column for column in required if column not in table]
    if lacking:
        raise ParameterError(
            f"{path}, line 1: expected tab-separated columns with {', '.join(required)} among "
            f"them, got none called {lacking[0]}"
        )
    twice = table["clip_id"].duplicated()
    if twice.any():
        line = int(twice.argmax()) + 2
        raise ParameterError(
            f"{path}, line {line}: expected each clip_id once, "
            f"got {table['clip_id'].iloc[line - 2]!r} again"
        )
    return table


def _flags(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Zeros and ones as bool."""
    values = table.to_numpy(str)
    wrong = np.argwhere((values != "0") & (values != "1"))
    if len(wrong):
        row, column = wrong[0]
        raise ParameterError(
            f"{path}, line {row + 2}: expected 0 or 1 for {table.columns[column]!r}, "
            f"got {str(values[row, column])!r}"
        )
    return pd.DataFrame(values == "1", index=table.index, columns=table.columns)
