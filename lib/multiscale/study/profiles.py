"""Profiles: a data set and an amount of work, read from ``profiles/<name>.yaml``.

A profile says which data and how much of everything: never how the method works.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import Field

from multiscale.config import (
    Count,
    NotNegative,
    ParameterError,
    Settings,
    TrainingSettings,
    data_home,
)
from multiscale.datasets import NAMES, DatasetSettings
from multiscale.datasets.tables import read_text

PROFILES = Path(__file__).with_name("profiles")
"""Folder of the profiles that come with the package."""


OWN_DAMPING = 0.1
"""Of whitening, for music of your own: an option of ours; the paper has none."""


class LearningSettings(Settings):
    """How much data the dictionaries see (§2.1-2.2, open in the paper), and how it is whitened."""

    n_windows: Count = Field(100_000, ge=100, description="windows sampled per level")
    n_iter: Count = Field(20, description="K-means iterations")
    whitening_damping: NotNegative | None = Field(
        None, description="None: 0, as in the paper; for a folder of your own music more"
    )


class Profile(Settings):
    """A data set and an amount of work.

    Dictionaries are learned on the data set itself, or, to see what they are worth elsewhere, on
    that of ``dictionary_from``. ``source`` and ``cost`` are words for the reader.
    """

    name: str = Field(pattern=r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]*$", description="of folders, too")
    description: str
    dataset: DatasetSettings = DatasetSettings()
    learning: LearningSettings = LearningSettings()
    tagging: TrainingSettings = TrainingSettings()
    similarity: TrainingSettings = TrainingSettings()
    dictionary_from: DatasetSettings | None = None
    source: str | None = Field(None, description="where the music comes from")
    cost: str | None = Field(None, description="what the experiments take")

    @property
    def on_its_data(self) -> LearningSettings:
        """How to learn, with the damping that is for these data where none is asked for."""
        if self.learning.whitening_damping is not None:
            return self.learning
        damping = OWN_DAMPING if self.dataset.name == "folder" else 0.0
        return self.learning.model_copy(update={"whitening_damping": damping})


def load_profile(name: str | Path) -> Profile:
    """Read a profile by name (``"laptop"``) or by path (``"mine.yaml"``).

    Parameters
    ----------
    name : str or Path
        One that comes with the package, or that a book was given (``profiles`` in the data home);
        or a path that ends in ``.yaml``.

    Raises
    ------
    ParameterError
        If there is no such profile, it is no YAML, a key is unknown or stands twice, or a value
        is out of range or not what it looks like.
    """
    path = Path(name)
    if path.suffix != ".yaml":
        folders = (data_home() / "profiles", PROFILES)
        known = {p.stem: p for folder in folders for p in folder.glob("*.yaml")}
        if str(name) not in known:
            names = ", ".join(sorted(known))
            raise ParameterError(
                f"profile: expected one of {names} or a .yaml file, got {str(name)!r}"
            )
        path = known[str(name)]
    try:
        values = parse_yaml(read_text(path))
        if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
            raise ParameterError(f"expected keys and values, got {values!r}")
        return Profile(**{"name": path.stem, **values})
    except ParameterError as error:
        raise ParameterError(f"profile {path.stem}: {error}") from None


def borrowing(profile: Profile, source: str) -> Profile:
    """A profile whose dictionaries are learned on another data set.

    ``source`` is its name, of which as many clips are used; a profile (``.yaml``) that has it; or
    the path of a table or folder of audio.
    """
    if source in NAMES:
        elsewhere = DatasetSettings(name=source, n_clips=profile.dataset.n_clips)
    elif source.endswith(".yaml"):
        elsewhere = load_profile(source).dataset
    elif Path(source).exists():
        seconds = profile.dataset.clip_seconds
        elsewhere = DatasetSettings(name="folder", path=source, clip_seconds=seconds)
    else:
        raise ParameterError(
            f"dictionary-from: expected one of {', '.join(NAMES)}, a .yaml file, or a table or "
            f"folder of audio, got {source!r}"
        )
    return profile.model_copy(update={"dictionary_from": elsewhere})


def parse_yaml(text: str) -> object:
    """Read YAML that means what it looks like, without 010 for 8; a ParameterError if it cannot."""
    try:
        return yaml.load(text, _Plain)  # a SafeLoader
    except ParameterError:
        raise
    # Besides: a day that no month has, a number of 5000 digits; lists in lists in lists.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ParameterError(f"expected YAML, got {' '.join(str(error).split())}") from None


class _Plain(yaml.SafeLoader):
    """YAML without the surprises of its version 1.1."""

    def compose_node(self, parent, index):
        """Refuse tags, and aliases, a few of which may stand for more than memory holds."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
            raise ParameterError("expected plain values, got a tag or an alias")
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        """Refuse keys that stand twice."""
        keys = [key.value for key, _ in node.value]
        if twice := sorted({str(key) for key in keys if keys.count(key) > 1}):
            raise ParameterError(f"{twice[0]}: expected it once, got it again")
        return super().construct_mapping(node, deep)

    def construct_number(self, node):
        """Refuse numbers that would be read as another."""
        if re.match(r"[-+]?0[0-9_]|.*:", node.value):
            raise ParameterError(f"expected a number as it is written, got {node.value}")
        return yaml.SafeLoader.yaml_constructors[node.tag](self, node)


for kind in ("int", "float"):
    _Plain.add_constructor(f"tag:yaml.org,2002:{kind}", _Plain.construct_number)
