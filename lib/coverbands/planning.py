"""Plan of the cover bands: which band plays which piece in which split, before a note is read.

Every split has pieces of its own, and as many bands as its clips allow; a smaller plan is a
part of a larger one. Most bands play in every split; some are heard in test alone.
"""

from __future__ import annotations

from functools import cache
from zlib import crc32

import numpy as np
import pandas as pd

from coverbands.bands import bands
from coverbands.scores import DATA

N_CLIPS = 1000
"""A set of usual size: about 20 a band."""

SHARES = {"train": 0.7, "valid": 0.1, "test": 0.2}
"""Of the clips, and of every repertoire's pieces."""

NEW_EVERY = 5
"""One band in so many plays in test alone, so that a score can be told apart for artists seen in
training and unseen ones. In MagnaTagATune 30 of the 75 test artists are unseen."""


def plan(n_clips: int = N_CLIPS, seed: int = 0) -> pd.DataFrame:
    """Say which band plays which piece in which split.

    Parameters
    ----------
    n_clips : int, default=1000
        Number of clips.
    seed : int, default=0
        Of the choice of pieces and of each band's order.

    Returns
    -------
    DataFrame of shape (n_clips, 7)
        Index: the clip's id. Columns path, split, artist, title, composer, piece, licence.

    Raises
    ------
    ValueError
        If there are too few clips for every band of train to be there.
    """
    everyone = range(len(bands()))
    known = [band for band in everyone if (band + 1) % NEW_EVERY]
    least = int(np.ceil(len(known) / SHARES["train"]))
    if n_clips < least:
        raise ValueError(
            f"n_clips: expected at least {least} (every one of {len(known)} bands in train, "
            f"{SHARES['train']:.0%} of the clips), got {n_clips}"
        )
    counts = {name: round(share * n_clips) for name, share in SHARES.items()}
    counts["train"] = n_clips - counts["valid"] - counts["test"]
    rows = []
    for split, count in counts.items():
        # Pairs, as similarity needs a second clip of the same artist in its split.
        group = 1 if split == "train" else 2
        playing = everyone if split == "test" else known
        for i in range(count):
            turn, within = divmod(i, group)
            lap, seat = divmod(turn, len(playing))
            rows.append(_clip(playing[seat], split, lap * group + within, seed))
    return pd.DataFrame(rows).set_index("clip")


def _clip(band: int, split: str, number: int, seed: int) -> dict:
    """One row of the plan: the band's pieces in this split, in its own order, round and round."""
    name = bands().index[band]
    choice = _pieces(bands()["repertoire"].iloc[band], seed)[split]
    order = generator(seed, f"{name} {split}").permutation(len(choice))
    piece = choice.iloc[order[number % len(choice)]]
    clip = f"{name.lower().replace(' ', '-').replace(chr(39), '')}-{split}-{number:03d}"
    return {
        "clip": clip,
        "path": f"clips/{clip}.wav",
        "split": split,
        "artist": name,
        **piece[["title", "composer", "piece", "licence"]],
    }


@cache
def _pieces(repertoire: str, seed: int) -> dict[str, pd.DataFrame]:
    """A repertoire's pieces by split, every split with one at least."""
    table = pd.read_csv(DATA / "scores.csv")
    table = table[table["repertoire"] == repertoire]
    table = table.iloc[generator(seed, repertoire).permutation(len(table))]
    n_valid = max(round(SHARES["valid"] * len(table)), 1)
    n_test = max(round(SHARES["test"] * len(table)), 1)
    return {
        "valid": table[:n_valid],
        "test": table[n_valid : n_valid + n_test],
        "train": table[n_valid + n_test :],
    }


def generator(seed: int, key: str) -> np.random.Generator:
    """Random numbers that depend on a seed and a name alone, not on what was drawn before."""
    return np.random.default_rng([seed, crc32(key.encode())])
