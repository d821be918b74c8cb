"""What is played beside a score: chords found in it, and patterns over them.

A player's notes are rows of onset and duration in beats, MIDI pitch, and velocity from 0 to 1.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import yaml

from coverbands.scores import DATA, Score

STEP = 0.25
"""Beats per step of a pattern."""

VELOCITIES = {"X": 0.9, "x": 0.6}
"""Of an accent and of a stroke."""

PIECE_WEIGHT = 0.3
"""How much the pitches of the whole excerpt count beside those of the moment: keeps the key."""

TRIADS = np.array(
    [
        np.isin(np.arange(12), (np.array([0, third, 7]) + root) % 12)
        for root in range(12)
        for third in (4, 3)
    ]
)
"""Pitch classes of the major and minor triads, shape (24, 12); row 2 * root + minor."""


@cache
def patterns() -> dict:
    """Rhythms, drum keys and drum grooves: each pattern for bars that divide by 2, and by 3."""
    return yaml.safe_load((DATA / "grooves.yaml").read_text(encoding="utf-8"))


def find_chords(excerpt: list[np.ndarray], beats: float, score: Score) -> np.ndarray:
    """Best fitting triad of every half bar (of every bar where bars divide by three)."""
    notes = np.concatenate(excerpt)
    span = min(score.bar, 3.0) if score.triple else 2.0
    onsets = np.arange(0, beats, span)
    ends = np.minimum(onsets + span, beats)
    note_ends = notes[:, 0] + notes[:, 1]
    overlap = np.minimum(ends[:, None], note_ends) - np.maximum(onsets[:, None], notes[:, 0])
    is_pitch_class = notes[:, 2, None] % 12 == np.arange(12)
    moments = np.maximum(overlap, 0) @ is_pitch_class  # (n_chords, 12), in beats
    whole = moments.sum(axis=0) / max(moments.sum(), 1e-9) * span
    best = ((moments + PIECE_WEIGHT * whole) @ TRIADS.T).argmax(axis=1)
    # (n_chords, 4): onset and duration in beats, root (0-11), and semitones from root to third
    return np.column_stack([onsets, ends - onsets, best // 2, np.where(best % 2, 3, 4)])


def strokes(pattern: list[str], score: Score, beats: float) -> np.ndarray:
    """A pattern repeated: onsets and durations in beats, and velocities; (n_strokes, 3)."""
    steps = pattern[int(score.triple)]
    steps = (steps * int(beats / STEP / len(steps) + 1))[: int(np.ceil(beats / STEP))]
    onsets = np.array([i * STEP for i, step in enumerate(steps) if step != "."])
    velocities = [VELOCITIES[step] for step in steps if step != "."]
    return np.column_stack([onsets, np.diff(onsets, append=beats), velocities])


def backing(kind: str, rhythm: str, excerpt, beats: float, score: Score) -> np.ndarray:
    """Notes of a player of a "chord", "arp" (broken chord), "drone" or "bass"; (n_notes, 4)."""
    chords = find_chords(excerpt, beats, score)
    if kind == "drone":  # one chord all through: the root that comes most
        chords[:, 2] = np.bincount(chords[:, 2].astype(int)).argmax()
    hits = strokes(patterns()["rhythms"][rhythm], score, beats)
    chords = chords[np.searchsorted(chords[:, 0], hits[:, 0], side="right") - 1]
    if rhythm == "hold":
        hits[:, 1] = np.minimum(hits[:, 1], beats - hits[:, 0])
    count = np.arange(len(hits))
    root, third = chords[:, 2], chords[:, 3]
    voices = {
        "chord": [48 + root, 55 + (root + third - 7) % 12, 60 + (root + 7) % 12],
        "arp": [60 + root + np.choose(count % 4, [0 * root, third, 0 * root + 7, 0 * root + 12])],
        "drone": [48 + root, 55 + root],
        "bass": [36 + (root + np.where(count % 4 == 3, 7, 0)) % 12],
    }[kind]
    return np.concatenate([np.column_stack([hits[:, :2], pitch, hits[:, 2]]) for pitch in voices])


def drumming(groove: str, beats: float, score: Score) -> np.ndarray:
    """Notes of a drum groove, shape (n_notes, 4); pitches are General MIDI drum keys."""
    rows = []
    for drum, pattern in patterns()["grooves"][groove].items():
        hits = strokes(pattern, score, beats)
        key = np.full(len(hits), patterns()["drums"][drum])
        rows.append(np.column_stack([hits[:, 0], np.full(len(hits), STEP), key, hits[:, 2]]))
    return np.concatenate(rows)
