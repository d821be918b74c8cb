"""Cover bands, the embedded data set: real scores played by invented bands, rendered here.

A band is a repertoire, an arrangement and a production, and stands for the artist. Clips of one
piece never cross splits; bands do, as artists do in MagnaTagATune. The package :mod:`coverbands`
renders them.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

import coverbands
from multiscale.config import ParameterError, data_home
from multiscale.datasets.base import ClipDataset, DatasetSettings, most_frequent
from multiscale.datasets.tracks import digest
from multiscale.identity import code_digest
from multiscale.progress import progress

NOTICE = (
    "Scores from the corpus of music21 (public domain music; terms of the encodings in the column "
    "'licence'), played by invented bands through the soundfont TimGM6mb (Tim Brechbill, GPL-2)."
)

DATA = (".csv", ".yaml")
"""Endings of the tables that the clips are made from."""


class Source:
    """Cover bands, of some settings."""

    def __init__(self, settings: DatasetSettings):
        self.settings = settings
        beside = Path(coverbands.__file__).parent.iterdir()
        made_by = [path.read_text("utf-8") for path in sorted(beside) if path.suffix in DATA]
        made_by += [f"{name} {_version(name)}" for name in coverbands.PACKAGES]
        made_by += [code_digest("coverbands"), str((settings.seed, settings.clip_seconds))]
        rendering = digest("\n".join(made_by))
        self.folder = data_home() / "datasets" / f"cover_bands-{rendering}"
        known = {"code": code_digest(__name__), "rendering": rendering}
        self.identity = {**settings.model_dump(), **known}

    def load(self, n_workers: int | None = None) -> ClipDataset:
        """Render what is not there yet, and return the clips with their most frequent tags."""
        clips = self._stored()
        if clips is None:
            clips = self._render(n_workers=n_workers)
        names = most_frequent(clips.loc[clips["split"] == "train", "tags"], self.settings.n_tags)
        given = clips.pop("tags").str.get_dummies(";").astype(bool)
        tags, rate = given[list(names)].to_numpy(), coverbands.SAMPLE_RATE
        return ClipDataset("cover_bands", self.folder, clips, tags, names, rate, NOTICE)

    def prepare_part(self, part: int, n_parts: int) -> None:
        """Render one share of the pieces, in this process."""
        self._render(part=part, n_parts=n_parts)

    def n_clips(self) -> int:
        """Clips that :meth:`load` gives."""
        return self.settings.n_clips or coverbands.N_CLIPS

    def check(self, dataset: ClipDataset) -> list[str]:
        """Nothing is published that could differ."""
        return []

    def _stored(self) -> pd.DataFrame | None:
        """The table of clips if it is of so many, and all are there."""
        try:
            clips = pd.read_csv(self.folder / "clips.csv", index_col="clip", keep_default_na=False)
            there = all(os.path.isfile(self.folder / path) for path in clips["path"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return clips if there and len(clips) == self.n_clips() else None

    def _render(self, **how) -> pd.DataFrame | None:
        """Render clips in a folder that is theirs alone."""
        seconds = self.settings.clip_seconds
        how |= {"clip_seconds": seconds, "progress": progress}
        try:
            return coverbands.render(self.n_clips(), self.settings.seed, self.folder, **how)
        except ValueError as error:
            raise ParameterError(str(error)) from error


def _version(package: str) -> str:
    """Version of a package that the music is made with; a ParameterError if it is missing."""
    try:
        return version(package)
    except PackageNotFoundError as error:
        raise ParameterError(
            f"dataset: expected the package {package}, which cover_bands are rendered with, got "
            "none: pip install music21 pretty_midi && pip install --no-deps tinysoundfont"
        ) from error
