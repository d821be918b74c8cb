"""Tables of bands and instruments, and the choices a band makes for each clip.

A band's row of ``bands.csv`` names its players. ``a|b`` is a choice made for each clip, ``;``
separates players, and a trailing ``?`` marks a player who turns up for PRESENCE of the clips.
Players of ``parts`` share the score's parts from top to bottom; those of ``backing`` and
``drums`` play patterns of ``grooves.yaml`` over chords found in the score.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from coverbands.scores import DATA

PRESENCE = 0.6
"""Share of the clips in which an optional player plays."""


@cache
def instruments() -> pd.DataFrame:
    """Table of instruments: General MIDI program, range in MIDI pitches, tags."""
    table = pd.read_csv(DATA / "instruments.csv", index_col="instrument")
    return table.assign(tags=table["tags"].str.split(";"))


@cache
def melodic() -> list[str]:
    """Instruments that can play a tune: all but drums and basses."""
    tags = instruments()["tags"]
    return [name for name in tags.index if not {"drums", "bass"} & set(tags[name])]


@cache
def bands() -> pd.DataFrame:
    """Table of bands: what they play, on what, how fast, and how it is produced."""
    table = pd.read_csv(DATA / "bands.csv", index_col="band", keep_default_na=False)
    return table.assign(styles=table["styles"].str.split(";"))


def choose(text: str, rng: np.random.Generator) -> list[list[str]]:
    """Players who turn up, of a cell such as "chord:offbeat:banjo|harp;drone:hold:cello?"."""
    present = []
    for player in filter(None, text.split(";")):
        # Both draws are made for every player, so one choice does not shift the next.
        turns_up, pick = rng.random() < PRESENCE or not player.endswith("?"), rng.random()
        *fields, choices = player.rstrip("?").split(":")
        options = choices.split("|")
        if turns_up:
            present.append([*fields, options[int(pick * len(options))]])
    return present
