"""Tags of a clip, as a crowd would give them: they follow from what was played, with some missing.

MagnaTagATune's tags come from players of a game, who use several words for one thing and never
name everything. So synonyms are tags of their own, and every true tag is dropped with
probability DROPPED. No tag is ever given that is not true of the clip.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from coverbands.arranging import Arrangement
from coverbands.bands import instruments

DROPPED = 0.12
"""Share of the true tags that are missing, each drawn independently."""

SLOW, FAST = 1.7, 4.5
"""Notes per second (moments at which the score's parts start a note): slow below, fast above."""

QUIET, LOUD = -27.0, -16.5
"""Level of the clip in dB of full scale: quiet below, loud above."""


def notes_per_second(arrangement: Arrangement, seconds: float) -> float:
    """Moments per second at which a player of the score starts a note."""
    # Backing and drums do not count: they fill the bar whatever the tune does.
    starts = [part.notes[:, 0] for part in arrangement.parts if part.role == "part"]
    starts = np.sort(np.concatenate(starts))
    # Notes within 30 ms start together.
    return float((np.count_nonzero(np.diff(starts) > 0.03) + 1) / seconds)


def true_tags(arrangement: Arrangement, band: pd.Series, pace: float, level: float) -> list[str]:
    """Every tag that is true of a clip, by its players, style, notes per second and level in dB."""
    tags = set(band["styles"])
    for part in arrangement.parts:
        tags.update(instruments().loc[part.instrument, "tags"])
    if "drums" in tags:
        tags |= {"beat", "beats", "percussion"}
    else:
        tags.add("no drums")
    if len(arrangement.parts) == 1 and "choir" not in tags:
        tags.add("solo")
    if pace < SLOW:
        tags.add("slow")
    if pace > FAST:
        tags |= {"fast", "upbeat"}
    if level < QUIET:
        tags |= {"quiet", "soft"}
    if level > LOUD:
        tags.add("loud")
    return sorted(tags)


def as_crowd(tags: list[str], rng: np.random.Generator) -> list[str]:
    """Leave out each tag with probability DROPPED."""
    kept = rng.random(len(tags)) >= DROPPED
    return [tag for tag, keep in zip(tags, kept, strict=True) if keep]
