"""Arrangements: a band plays an excerpt of a score (who plays what, when and how hard)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from coverbands.backing import backing, drumming
from coverbands.bands import choose, instruments, melodic
from coverbands.scores import Score

MAX_GAP = 1.0
"""Longest rest of a whole band, in s: excerpts with longer ones are passed over."""

ARTICULATION = 0.95
"""Share of a note's written length that it is held."""

LATENESS = 0.006
"""Standard deviation of onsets from the beat, in s."""

SWELL, PHRASE = 0.12, 16
"""Depth of the swell of loudness, and its length in beats."""

GUEST = 0.3
"""Share of the clips in which a guest takes one of the score's parts, on any instrument: so that
an instrument is not known by the bands it usually plays in."""

N_STARTS = 12
"""Excerpts of a piece looked at before the one with the shortest rest is taken."""


@dataclass(frozen=True, eq=False)
class Part:
    """What one player plays."""

    name: str  # unique within the arrangement, such as "flute" or "bass: tuba"
    instrument: str
    role: str  # "part", "chord", "arp", "drone", "bass" or "drums"
    notes: np.ndarray  # (n_notes, 4): start and end in s, MIDI pitch, and velocity from 0 to 1


@dataclass(frozen=True, eq=False)
class Arrangement:
    """The players of one clip, its tempo in beats per minute, and its key shift in semitones."""

    parts: tuple[Part, ...]
    bpm: float
    transpose: int


def arrange(score: Score, band: pd.Series, seconds: float, rng: np.random.Generator) -> Arrangement:
    """Let a band play some seconds of a score; tempo, key, excerpt, players and touch are drawn."""
    bpm = rng.uniform(*_numbers(band["bpm"], "-"))
    low, high = _numbers(band["transpose"], " ")
    transpose = int(rng.integers(low, high + 1))
    beats = seconds * bpm / 60
    score = _taken(score, band["take"])
    excerpt = _excerpt(score, beats, MAX_GAP * bpm / 60, rng)
    played = _score_parts(excerpt, band["parts"], rng)
    for kind, rhythm, instrument in choose(band["backing"], rng):
        played.append((instrument, kind, backing(kind, rhythm, excerpt, beats, score)))
    for groove, kit in choose(band["drums"], rng):
        played.append((kit, "drums", drumming(groove, beats, score)))
    parts = []
    for instrument, role, notes in played:
        if role != "drums":
            notes = _in_range(notes + np.array([0, 0, transpose, 0]), instrument)
        seat = sum((part.instrument, part.role) == (instrument, role) for part in parts)
        name = instrument if role in ("part", "drums") else f"{role}: {instrument}"
        name = f"{name} {seat + 1}" if seat else name
        parts.append(Part(name, instrument, role, _touched(notes, bpm, seconds, rng)))
    return Arrangement(tuple(parts), bpm, transpose)


def _numbers(text: str, separator: str) -> list[int]:
    return [int(number) for number in text.split(separator)]


def _taken(score: Score, take: str) -> Score:
    parts = score.parts[:1] if take == "top" else score.parts
    return Score(parts, score.length, score.bar)


def _excerpt(score: Score, beats: float, max_gap: float, rng) -> list[np.ndarray]:
    """Notes from some bar on: the first of N_STARTS without a long rest, else the best."""
    n_bars = max(round(score.length / score.bar), 1)
    best, best_gap = None, np.inf
    for start in rng.integers(0, n_bars, N_STARTS) * score.bar:
        notes = score.excerpt(start, beats)
        gap = _longest_rest(np.concatenate(notes), beats)
        if gap < best_gap:
            best, best_gap = notes, gap
        if gap <= max_gap:
            break
    return best


def _longest_rest(notes: np.ndarray, beats: float) -> float:
    """Beats without a note, ends included; notes are taken to last at most two beats."""
    notes = notes[np.argsort(notes[:, 0])]
    ends = notes[:, 0] + np.minimum(notes[:, 1], 2.0)
    sounding_to = np.maximum.accumulate(np.concatenate([[0.0], ends]))
    return float((np.concatenate([notes[:, 0], [beats]]) - sounding_to).max())


def _score_parts(excerpt: list[np.ndarray], text: str, rng) -> list[tuple[str, str, np.ndarray]]:
    """The score's parts shared out among the players, top to bottom."""
    players = [player[0] for player in choose(text, rng)]
    seats = np.linspace(0, len(players) - 1, len(excerpt)).round().astype(int)
    played = []
    for seat, instrument in enumerate(players):
        notes = [part for part, taken in zip(excerpt, seats, strict=True) if taken == seat]
        notes = np.concatenate(notes) if notes else np.empty((0, 3))
        if len(notes):
            played.append((instrument, "part", np.column_stack([notes, np.full(len(notes), 0.8)])))
    if rng.random() < GUEST:
        seat, guest = rng.integers(len(played)), rng.choice(melodic())
        played[seat] = (str(guest), *played[seat][1:])
    return played


def _in_range(notes: np.ndarray, instrument: str) -> np.ndarray:
    """All notes moved by the octaves that suit most of them, then stragglers one by one."""
    low, high = instruments().loc[instrument, ["low", "high"]]
    pitch = notes[:, 2]
    octaves = 12 * np.arange(-4, 5)
    outside = [((pitch + o < low) | (pitch + o > high)).sum() + 0.01 * abs(o) for o in octaves]
    pitch = pitch + octaves[int(np.argmin(outside))]
    pitch = np.where(pitch < low, pitch + 12 * np.ceil((low - pitch) / 12), pitch)
    pitch = np.where(pitch > high, pitch - 12 * np.ceil((pitch - high) / 12), pitch)
    return np.column_stack([notes[:, :2], pitch, notes[:, 3]])


def _touched(notes: np.ndarray, bpm: float, seconds: float, rng) -> np.ndarray:
    """Beats turned into seconds, with the small unevenness of hands and a swell per phrase."""
    start = notes[:, 0] * 60 / bpm
    end = start + notes[:, 1] * 60 / bpm * ARTICULATION
    late = rng.normal(0, LATENESS, len(notes))
    phase = rng.uniform(0, 2 * np.pi)
    swell = 1 + SWELL * np.sin(2 * np.pi * notes[:, 0] / PHRASE + phase)
    accent = np.where(notes[:, 0] % 1 == 0, 1.0, 0.9)
    velocity = notes[:, 3] * swell * accent + rng.normal(0, 0.04, len(notes))
    return np.column_stack(
        [
            np.maximum(start + late, 0),
            np.minimum(end + late, seconds),
            notes[:, 2],
            np.clip(velocity, 0.2, 1),
        ]
    )
