"""Cover bands, the embedded data set: real scores played by invented bands, rendered here.

A band is a repertoire, an arrangement and a production (one row of ``cover_bands.csv``), and
stands for the artist. Clips of one piece never cross splits; bands do, as artists do in
MagnaTagATune. A clip depends on the seed and its own id alone, so a smaller set is a part of a
larger one, and a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from filelock import FileLock
from joblib import Parallel, delayed
from tqdm import tqdm

from multiscale.config import DatasetSettings, ParameterError, data_home
from multiscale.datasets import arranging, backing, bands, crowd, planning, playing, scores
from multiscale.datasets.base import ClipDataset, most_frequent

NOTICE = (
    "Scores from the corpus of music21 (public domain music; terms of the encodings in the column "
    "'licence'), played by invented bands through the soundfont TimGM6mb (Tim Brechbill, GPL-2)."
)


def prepare(settings: DatasetSettings, n_workers: int | None = None) -> ClipDataset:
    """Render what is not there yet, and return the clips.

    Parameters
    ----------
    settings : DatasetSettings
        Number and length of the clips, number of tags, seed.
    n_workers : int, optional
        Processes that render; as many as cores by default. The clips do not depend on it.

    Returns
    -------
    ClipDataset
        Clips of ``settings.clip_seconds``, with their most frequent tags.

    Raises
    ------
    ParameterError
        If ``settings.n_clips`` is too small for all bands and splits.
    """
    plan = planning.plan(settings)
    folder = data_home() / "datasets" / f"cover_bands-{_fingerprint(settings)}"
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / f"clips-{len(plan)}.csv"
    # One process renders; another that wants the same clips waits, then finds them.
    with FileLock(folder / "lock"):
        missing = plan[[not _is_rendered(folder / path) for path in plan["path"]]]
        if len(missing):
            _render_all(missing, settings, folder, n_workers or os.cpu_count() or 1)
        if len(missing) or not table.is_file():
            facts = [json.loads(_facts(folder / path).read_text("utf-8")) for path in plan["path"]]
            clips = plan.join(pd.DataFrame(facts, index=plan.index))
            _write(table, lambda to: clips.to_csv(to, lineterminator="\n"))
    clips = pd.read_csv(table, index_col="clip", keep_default_na=False)
    tags, tag_names = _tag_matrix(clips, settings.n_tags)
    return ClipDataset(
        "cover_bands",
        folder,
        clips.drop(columns="tags"),
        tags,
        tag_names,
        playing.SAMPLE_RATE,
        NOTICE,
    )


def prepare_part(settings: DatasetSettings, part: int, n_parts: int) -> None:
    """Render one share of the pieces, in this process; see :func:`prepare`."""
    plan = planning.plan(settings)
    folder = data_home() / "datasets" / f"cover_bands-{_fingerprint(settings)}"
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    missing = plan[[not _is_rendered(folder / path) for path in plan["path"]]]
    pieces = sorted(plan["piece"].unique())[part::n_parts]
    for _, group in missing[missing["piece"].isin(pieces)].groupby("piece", sort=True):
        _render_piece(group, settings, folder)


def identity(settings: DatasetSettings) -> dict:
    """All that determines the clips: the settings, and what renders them."""
    return {**settings.model_dump(), "rendering": _fingerprint(settings)}


def stems(settings: DatasetSettings, clip: str) -> dict[str, np.ndarray]:
    """The parts of one clip apart, and the mix.

    Parameters
    ----------
    settings : DatasetSettings
        Those of the data set.
    clip : str
        Id of the clip.

    Returns
    -------
    dict of str to ndarray of shape (n_samples,), float32
        Each part by its name, before production; under "mix" the clip itself.

    Raises
    ------
    ParameterError
        If there is no such clip.
    """
    plan = planning.plan(settings)
    if clip not in plan.index:
        raise ParameterError(f"clip: expected one such as {plan.index[0]!r}, got {clip!r}")
    row = plan.loc[clip]
    parts, mix, _ = _perform(scores.read(row["piece"]), row, settings)
    return {**parts, "mix": mix}


def _perform(score, clip: pd.Series, settings) -> tuple[dict[str, np.ndarray], np.ndarray, dict]:
    """Arrange, play and produce one clip: its parts, the mix, and what the table says of it."""
    band, rng = bands.bands().loc[clip["artist"]], planning.generator(settings.seed, clip.name)
    arrangement = arranging.arrange(score, band, settings.clip_seconds, rng)
    parts = playing.balanced(arrangement, settings.clip_seconds, rng)
    mix = playing.produced(np.sum(list(parts.values()), axis=0), band, rng)
    pace = crowd.notes_per_second(arrangement, settings.clip_seconds)
    level = float(10 * np.log10(np.mean(mix.astype(np.float64) ** 2) + 1e-12))
    tags = crowd.as_crowd(crowd.true_tags(arrangement, band, pace, level), rng)
    facts = {
        "bpm": round(arrangement.bpm, 1),
        "notes_per_second": round(pace, 2),
        "level_db": round(level, 1),
        "transpose": arrangement.transpose,
        "instruments": ";".join(sorted({part.instrument for part in arrangement.parts})),
        "seconds": settings.clip_seconds,
        "tags": ";".join(tags),
    }
    return parts, mix, facts


def _render_all(plan: pd.DataFrame, settings, folder: Path, n_workers: int) -> None:
    """Render clips in parallel, a piece at a time, so that each is parsed once."""
    (folder / "clips").mkdir(exist_ok=True)
    groups = [group for _, group in plan.groupby("piece", sort=True)]
    # loky's processes do not run the caller's script again, so it needs no main guard.
    work = Parallel(min(n_workers, len(groups)), return_as="generator_unordered")
    done = work(delayed(_render_piece)(group, settings, folder) for group in groups)
    with tqdm(total=len(plan), desc="cover_bands", unit="clip") as progress:
        for count in done:
            progress.update(count)


def _render_piece(plan: pd.DataFrame, settings: DatasetSettings, folder: Path) -> int:
    """Render all clips of one piece; the number of them."""
    score = scores.read(plan["piece"].iloc[0])
    for _, clip in plan.iterrows():
        _, mix, facts = _perform(score, clip, settings)
        path = folder / clip["path"]
        # Audio last: where it lies, the facts lie too.
        _write(_facts(path), lambda to, facts=facts: to.write_text(json.dumps(facts), "utf-8"))
        _write(path, lambda to, mix=mix: _write_flac(to, mix))
    return len(plan)


def _write_flac(path: Path, mix: np.ndarray) -> None:
    soundfile.write(path, mix, playing.SAMPLE_RATE, format="FLAC", subtype="PCM_16")


def _facts(path: Path) -> Path:
    return path.with_suffix(".json")


def _is_rendered(path: Path) -> bool:
    return path.is_file() and _facts(path).is_file()


def _write(path: Path, write) -> None:
    """Write beside, then move into place: a file is whole or not there."""
    partial_path = path.with_name(path.name + ".partial")
    write(partial_path)
    os.replace(partial_path, path)


def _tag_matrix(clips: pd.DataFrame, n_tags: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """The tags most frequent in train (ties by name), shape (n_clips, n_tags), and their names."""
    names = most_frequent(clips.loc[clips["split"] == "train", "tags"], n_tags)
    given = clips["tags"].str.get_dummies(";").astype(bool)
    return given[list(names)].to_numpy(), names


def _fingerprint(settings: DatasetSettings) -> str:
    """Short hash of all that the sound of a clip and its facts depend on."""
    digest = hashlib.sha256(f"{settings.seed} {settings.clip_seconds}".encode())
    for package in ("music21", "pretty_midi", "tinysoundfont", "numpy", "scipy", "soxr"):
        digest.update(version(package).encode())
    modules = (scores, bands, backing, arranging, playing, crowd, planning)
    sources = [Path(module.__file__) for module in modules]
    for path in [*sources, *sorted(scores.DATA.glob("cover_bands*.*"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:10]
