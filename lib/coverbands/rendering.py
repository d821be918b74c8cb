"""Rendering: from a plan to clips on disk, in several processes, again after a kill."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from filelock import FileLock
from joblib import Parallel, delayed
from tqdm import tqdm

from coverbands import arranging, crowd, planning, playing, scores
from coverbands.bands import bands


def render(
    n_clips: int,
    seed: int,
    folder: str | Path,
    *,
    clip_seconds: float = 29.0,
    n_workers: int | None = None,
    part: int | None = None,
    n_parts: int | None = None,
    progress: Callable[..., tqdm] = tqdm,
) -> pd.DataFrame | None:
    """Render the clips that are not there yet, and last write a table of all: ``clips.csv``.

    A clip depends on the seed, its length and its own id alone, so a smaller set is a part of a
    larger one, and a run that was interrupted goes on where it stopped.

    Parameters
    ----------
    n_clips : int
        Number of clips.
    seed : int
        Of the plan and of every choice a band makes.
    folder : str or Path
        Where to; made if it is not there.
    clip_seconds : float, default=29.0
        Length of a clip, in s.
    n_workers : int, optional
        Processes; as many as cores by default. The clips do not depend on it.
    part, n_parts : int, optional
        Render one of ``n_parts`` shares of the pieces, from 0, in this process, and no table:
        for machines that share a folder. A call without them then finds the clips.
    progress : callable, optional
        Makes the bar, called as tqdm is; ``functools.partial(tqdm, disable=True)`` for none.

    Returns
    -------
    DataFrame of shape (n_clips, 14) or None
        What the table says: the index is the clip's id; ``path`` is from the folder; ``tags`` and
        ``instruments`` are joined by ";". None for a share.

    Raises
    ------
    ValueError
        If ``n_clips`` is too small for all bands, or the folder has clips of another seed or
        length.
    """
    plan, folder, clip_seconds = planning.plan(n_clips, seed), Path(folder), float(clip_seconds)
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    _claim(folder / "settings.json", {"seed": seed, "clip_seconds": clip_seconds})
    if part is not None:
        _render(_missing(plan, folder, part, n_parts), seed, clip_seconds, folder)
        return None
    table = folder / "clips.csv"
    # One process renders; another that wants the same clips waits, then finds them.
    with FileLock(folder / "lock"):
        missing = _missing(plan, folder)
        if len(missing):
            groups = [group for _, group in missing.groupby("piece", sort=True)]
            # loky's processes do not run the caller's script again, so it needs no main guard.
            workers = min(n_workers or os.cpu_count() or 1, len(groups))
            work = Parallel(workers, return_as="generator_unordered")
            done = work(delayed(_render)(group, seed, clip_seconds, folder) for group in groups)
            with progress(total=len(missing), desc="cover bands", unit="clip") as shown:
                for count in done:
                    shown.update(count)
        facts = [json.loads(_facts(folder / path).read_text("utf-8")) for path in plan["path"]]
        clips = plan.join(pd.DataFrame(facts, index=plan.index))
        _write(table, lambda to: clips.to_csv(to, lineterminator="\n"))
        return pd.read_csv(table, index_col="clip", keep_default_na=False)


def stems(clip: pd.Series, seed: int) -> dict[str, np.ndarray]:
    """Play one clip again, its parts apart.

    Parameters
    ----------
    clip : Series
        A row of the table that :func:`render` gives.
    seed : int
        That of the clips.

    Returns
    -------
    dict of str to ndarray of shape (n_samples,), float32
        Each part by its name, before production; under "mix" the clip itself.

    Raises
    ------
    ValueError
        If it is no row of such a table.
    """
    if clip.get("artist") not in bands().index:
        raise ValueError(f"clip: expected a row of the table of clips, got {clip.name!r}")
    parts, mix, _ = _perform(scores.read(clip["piece"]), clip, seed, clip["seconds"])
    return {**parts, "mix": mix}


def _perform(score: scores.Score, clip: pd.Series, seed: int, seconds: float):
    """Arrange, play and produce one clip: its parts, the mix, and what the table says of it."""
    band, rng = bands().loc[clip["artist"]], planning.generator(seed, clip.name)
    arrangement = arranging.arrange(score, band, seconds, rng)
    parts = playing.balanced(arrangement, seconds, rng)
    mix = playing.produced(np.sum(list(parts.values()), axis=0), band, rng)
    pace = crowd.notes_per_second(arrangement, seconds)
    level = float(10 * np.log10(np.mean(mix.astype(np.float64) ** 2) + 1e-12))
    tags = crowd.as_crowd(crowd.true_tags(arrangement, band, pace, level), rng)
    facts = {
        "bpm": round(arrangement.bpm, 1),
        "notes_per_second": round(pace, 2),
        "level_db": round(level, 1),
        "transpose": arrangement.transpose,
        "instruments": ";".join(sorted({part.instrument for part in arrangement.parts})),
        "seconds": seconds,
        "tags": ";".join(tags),
    }
    return parts, mix, facts


def _render(plan: pd.DataFrame, seed: int, seconds: float, folder: Path) -> int:
    """Render planned clips, a piece at a time, so that each is parsed once; the number of them."""
    for piece, group in plan.groupby("piece", sort=True):
        score = scores.read(piece)
        for _, clip in group.iterrows():
            _, mix, facts = _perform(score, clip, seed, seconds)
            path = folder / clip["path"]
            # Audio last: where it lies, the facts lie too.
            _write(_facts(path), lambda to, facts=facts: to.write_text(json.dumps(facts), "utf-8"))
            _write(path, lambda to, mix=mix: _write_wav(to, mix))
    return len(plan)


def _missing(plan: pd.DataFrame, folder: Path, part: int = 0, n_parts: int = 1) -> pd.DataFrame:
    """The clips of every ``n_parts``-th piece from ``part`` on that are not there yet."""
    pieces = sorted(plan["piece"].unique())[part::n_parts]
    plan = plan[plan["piece"].isin(pieces)]
    paths = [folder / path for path in plan["path"]]
    return plan[[not (path.is_file() and _facts(path).is_file()) for path in paths]]


def _claim(path: Path, settings: dict) -> None:
    """Refuse a folder whose clips are of other settings; say of which they are."""
    found = json.loads(path.read_text("utf-8")) if path.is_file() else settings
    if found != settings:
        raise ValueError(f"{path.parent}: expected clips of {settings}, got some of {found}")
    if not path.is_file():
        _write(path, lambda to: to.write_text(json.dumps(settings), "utf-8"))


def _facts(path: Path) -> Path:
    return path.with_suffix(".json")


def _write_wav(path: Path, mix: np.ndarray) -> None:
    soundfile.write(path, mix, playing.SAMPLE_RATE, format="WAV", subtype="PCM_16")


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside, then move into place: a file is whole or not there."""
    partial_path = path.with_name(path.name + ".partial")
    write(partial_path)
    os.replace(partial_path, path)
