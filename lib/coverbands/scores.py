"""Scores as notes: music21's corpus in, arrays of (onset, duration, pitch) out.

Notation is not sound: a reel in 2/4 written in semiquavers and one in cut time written in
quavers are played alike. So time is rescaled by a power of two such that a bar lasts 3 to 6
beats, and a band's tempo means much the same for every score.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent
"""Where the tables of bands, instruments and scores lie."""

SHORTEST_BAR = 3.0
"""Beats per bar; time is rescaled so that a bar lasts this long, up to twice as long."""


@dataclass(frozen=True, eq=False)
class Score:
    """A piece as notes, in beats."""

    # Top part first, each (n_notes, 3): onset and duration in beats, and MIDI pitch.
    parts: tuple[np.ndarray, ...]
    # Beats from the first full bar to where the piece may start again (whole bars); beats per bar.
    length: float
    bar: float

    @property
    def triple(self) -> bool:
        """Whether bars divide by three, as in 3/4, 6/8 or 9/8."""
        return self.bar % 1.5 == 0

    def excerpt(self, start: float, beats: float) -> list[np.ndarray]:
        """Notes of each part from ``start`` on, cut at both ends, the piece going round."""
        rounds = np.arange(-1, int((start + beats) // self.length) + 1) * self.length
        cut = []
        for part in self.parts:
            notes = np.concatenate([part + np.array([shift, 0, 0]) for shift in rounds])
            ends = np.minimum(notes[:, 0] + notes[:, 1] - start, beats)
            onsets = np.maximum(notes[:, 0] - start, 0)
            kept = np.stack([onsets, ends - onsets, notes[:, 2]], axis=1)
            cut.append(kept[kept[:, 1] > 0.05])
        return cut


def read(piece: str) -> Score:
    """A piece of music21's corpus; ``file.abc#12`` is the tune ``X:12`` of a tune book."""
    import music21  # half a second, and needed only when something is rendered

    path, _, number = piece.partition("#")
    path = Path(music21.__file__).parent / "corpus" / path
    if not path.is_file():
        raise ValueError(f"{piece}: expected a score in music21's corpus, got nothing there")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if number:
            text = _tune(path.read_text(encoding="utf-8", errors="replace"), number)
            stream = music21.converter.parse(text, format="abc")
        else:
            stream = music21.converter.parse(path, forceSource=True, storePickle=False)
    parts = [notes for part in stream.parts if len(notes := _notes(part)) > 0]
    if not parts:
        raise ValueError(f"{piece}: expected notes, got none")
    return _normalised(parts, *_metre(stream))


def _tune(text: str, number: str) -> str:
    """One tune of a tune book in ABC notation."""
    match = re.search(rf"^X: *0*{number}\s.*?(?=^X:|\Z)", text, re.MULTILINE | re.DOTALL)
    if not match:
        raise ValueError(f"tune {number}: expected it in the tune book, got nothing there")
    return match[0]


def _notes(part) -> np.ndarray:
    """Notes of a part, (n_notes, 3), in quarter notes: tied ones joined, without grace notes."""
    notes, open_ties = [], {}
    for element in part.flatten().notes:
        duration = float(element.duration.quarterLength)
        if duration == 0 or "ChordSymbol" in element.classes:  # grace notes; harmony in words
            continue
        for note in getattr(element, "notes", (element,)):
            if not note.isNote:
                continue
            onset, pitch = float(element.offset), note.pitch.midi
            tied = open_ties.pop(pitch, None) if note.tie and note.tie.type != "start" else None
            if tied is not None:
                notes[tied][1] = onset + duration - notes[tied][0]
            else:
                tied = len(notes)
                notes.append([onset, duration, pitch])
            if note.tie and note.tie.type != "stop":
                open_ties[pitch] = tied
    return np.array(sorted(notes), dtype=float).reshape(-1, 3)


def _metre(stream) -> tuple[float, float]:
    """Quarter notes per bar, and before the first full bar."""
    bars = list(stream.parts[0].getElementsByClass("Measure"))
    times = stream.parts[0].recurse().getElementsByClass("TimeSignature")
    bar = float(times[0].barDuration.quarterLength) if times else 4.0
    first = float(bars[0].duration.quarterLength) if bars else 0.0
    return bar, first if first < bar else 0.0


def _normalised(parts: list[np.ndarray], bar: float, pickup: float) -> Score:
    """Time rescaled by the length of a bar, and counted from the first full one."""
    end = max((part[:, 0] + part[:, 1]).max() for part in parts)
    n_bars = max(np.round(end / bar), 1)
    scale = 2.0 ** np.ceil(np.log2(SHORTEST_BAR / bar))
    return Score(
        parts=tuple(
            (part - np.array([pickup, 0, 0])) * np.array([scale, scale, 1]) for part in parts
        ),
        length=n_bars * bar * scale,
        bar=bar * scale,
    )
