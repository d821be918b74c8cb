"""The two tables of MagnaTagATune: 188 tags that players of a game gave, and who plays."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd

from multiscale.config import ParameterError
from multiscale.datasets.tables import read_text

ANNOTATIONS, CLIP_INFO = "annotations_final.csv", "clip_info_final.csv"
"""Names of the tables."""

# As K. Choi proposes (github.com/keunwoochoi/magnatagatune-list, "Proposed tag preprocessing"),
# with "female vocal", which that list leaves out though it has "male vocal".
SYNONYMS = tuple(
    tuple(line.strip().split(", "))
    for line in """
    beat, beats
    chant, chanting
    choir, choral
    classical, clasical, classic
    drum, drums
    electro, electronic, electronica, electric
    fast, fast beat, quick
    female, female singer, female singing, female vocal, female vocals, female voice, woman, \
woman singing, women
    flute, flutes
    guitar, guitars
    hard, hard rock
    harpsichord, harpsicord
    heavy, heavy metal, metal
    horn, horns
    india, indian
    jazz, jazzy
    male, male singer, male vocal, male vocals, male voice, man, man singing, men
    no beat, no drums
    no singer, no singing, no vocal, no vocals, no voice, no voices, instrumental
    opera, operatic
    orchestra, orchestral
    quiet, silence
    singer, singing
    space, spacey
    string, strings
    synth, synthesizer
    violin, violins
    vocal, vocals, voice, voices
    strange, weird
    """.strip().splitlines()
)
"""Tags that mean one thing; the first gives its name to all."""


def read(folder: Path, n_tags: int, merge: bool) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read both tables.

    Parameters
    ----------
    folder : Path
        Where they are.
    n_tags : int
        Most frequent tags that are kept, counted over all annotated clips.
    merge : bool
        Whether synonyms are merged first.

    Returns
    -------
    clips : DataFrame of shape (n_annotated_clips, 4)
        Columns mp3_path, artist, title and tags (a tuple of str, of those that are kept).
    tag_names : tuple of str
        The tags that are kept, most frequent first, ties by name.

    Raises
    ------
    ParameterError
        If a table is missing or not as published; names its line.
    """
    table = _read(folder / ANNOTATIONS, ("clip_id", "mp3_path"))
    info = _read(folder / CLIP_INFO, ("clip_id", "artist", "title"))
    given = _flags(folder / ANNOTATIONS, table.drop(columns=["clip_id", "mp3_path"]))
    if merge:
        given = merged(given)
    counts = given.sum()
    names = sorted(counts.index[counts > 0], key=lambda name: (-counts[name], name))[:n_tags]
    kept = given[names].to_numpy(bool)
    clips = table[["clip_id", "mp3_path"]].merge(
        info[["clip_id", "artist", "title"]], "left", "clip_id", validate="1:1"
    )
    clips = clips.drop(columns="clip_id").fillna("")
    clips["tags"] = [tuple(np.array(names, object)[row]) for row in kept]
    return clips, tuple(names)


def merged(given: pd.DataFrame) -> pd.DataFrame:
    """Tags with their synonyms merged into one: a clip has it that has any of them.

    Parameters
    ----------
    given : DataFrame of shape (n_clips, n_tags), bool
        A column for each tag.

    Returns
    -------
    DataFrame of shape (n_clips, n_merged_tags), bool
        The first name of each group stands for all of it.
    """
    name = {tag: group[0] for group in SYNONYMS for tag in group}
    return given.T.groupby(lambda tag: name.get(tag, tag), sort=False).any().T


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
