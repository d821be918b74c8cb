"""A data set: which one, and what a chapter may ask of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator, model_validator

from multiscale import audio
from multiscale.config import Count, Flag, Natural, ParameterError, Positive, Settings

OPTIONS = {
    "path": ("folder", "magnatagatune"),
    "split_by": ("folder",),
    "merge_synonyms": ("magnatagatune",),
}
"""Of settings, with the data sets that have them."""


class DatasetSettings(Settings):
    """Which clips a profile uses."""

    name: str = Field("cover_bands", description="data set, see multiscale.datasets")
    n_clips: Count | None = Field(None, description="clips to use; None: all there are")
    clip_seconds: Positive = Field(29.0, ge=5, le=600, description="clip length, s (§4.1)")
    n_tags: Count = Field(50, description="most frequent tags kept (§4.2)")
    seed: Natural = Field(0, description="of arrangement, sampling and splits")
    path: str | None = Field(
        None, description="folder: a table or a folder of audio; magnatagatune: a copy one has"
    )
    split_by: Literal["artist", "file"] = Field("file", description="folder: what never crosses")
    merge_synonyms: Flag = Field(False, description="magnatagatune: synonyms become one tag")

    @field_validator("path")
    @classmethod
    def _is_the_same_in_every_process(cls, path: str | None) -> str | None:
        return path and os.path.abspath(os.path.expanduser(path))

    @model_validator(mode="after")
    def _has_the_options_that_it_is_given(self) -> DatasetSettings:
        for option, names in OPTIONS.items():
            value = getattr(self, option)
            if self.name not in names and value != type(self).model_fields[option].default:
                told = f"{option}: expected it of {' or '.join(names)} alone"
                raise ParameterError(f"{told}, got {value!r} of {self.name}")
        return self


NO_SKIPPED = pd.DataFrame({"path": [], "reason": []}, dtype=str)
"""Of a data set all of whose files can be used."""


@dataclass(frozen=True, eq=False)
class ClipDataset(Sequence):
    """Clips of music with tags, artists and a split.

    As a sequence it yields the audio of its clips, so it can be given to
    :class:`multiscale.features.MultiscaleFeatures` in place of an array.

    Attributes
    ----------
    name : str
        Name of the data set.
    folder : Path
        Folder that the paths in ``clips`` start from.
    clips : DataFrame of shape (n_clips, n_columns)
        One row per clip; the index is the clip's id. Columns ``path``, ``split`` ("train",
        "valid" or "test"), ``artist`` (NA where unknown), ``title`` and ``licence``, and
        whatever else the data set knows.
    tags : ndarray of shape (n_clips, n_tags), bool
        Whether a clip carries a tag. ``n_tags`` is 0 for a data set without tags.
    tag_names : tuple of str
        Names of the columns of ``tags``.
    sample_rate : int
        In Hz.
    notice : str
        Source and licence, in a sentence for the reader.
    skipped : DataFrame of shape (n_skipped, 2)
        Files that could not be used: columns ``path`` and ``reason``.
    """

    name: str
    folder: Path
    clips: pd.DataFrame
    tags: np.ndarray
    tag_names: tuple[str, ...]
    sample_rate: int
    notice: str
    skipped: pd.DataFrame = field(default_factory=NO_SKIPPED.copy)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index):
        """Audio (n_samples,) of one clip, or the data set of several."""
        if isinstance(index, (int, np.integer)):
            path = self.folder / self.clips["path"].iloc[index]
            return audio.load(path, self.sample_rate)
        return replace(self, clips=self.clips.iloc[index], tags=self.tags[index])

    def split(self, name: str) -> ClipDataset:
        """The clips of one split: "train", "valid" or "test"."""
        return self[np.flatnonzero(self.clips["split"] == name)]

    @property
    def artists(self) -> np.ndarray:
        """Artist of every clip, shape (n_clips,), str; None where unknown."""
        return self.clips["artist"].to_numpy(object)


def most_frequent(tags: pd.Series, n_tags: int) -> tuple[str, ...]:
    """Names of the most frequent tags, ties by name, of clips' tags joined by ``;``."""
    counts = Counter(tag for carried in tags for tag in carried.split(";") if tag)
    return tuple(sorted(counts, key=lambda tag: (-counts[tag], tag))[:n_tags])
