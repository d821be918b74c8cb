"""Profiles: a data set and an amount of work, read from ``profiles/<name>.yaml``.

A profile says which data and how much of everything: never how the method works.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import Field

from multiscale.config import ParameterError, Settings, TrainingSettings, data_home
from multiscale.datasets import NAMES, DatasetSettings

PROFILES = Path(__file__).with_name("profiles")
"""Folder of the profiles that come with the package."""


OWN_DAMPING = 0.1
"""Of whitening, for music of your own: an option of ours; the paper has none."""


class LearningSettings(Settings):
    """How much data the dictionaries see (§2.1-2.2, open in the paper), and how it is whitened."""

    n_windows: int = Field(100_000, ge=100, description="windows sampled per level")
    n_iter: int = Field(20, ge=1, description="K-means iterations")
    whitening_damping: float | None = Field(
        None, ge=0, description="None: 0, as in the paper; for a folder of your own music more"
    )


class Profile(Settings):
    """A data set and an amount of work.

    Dictionaries are learned on the data set itself, or, to see what they are worth elsewhere, on
    that of ``dictionary_from``. ``source`` and ``cost`` are words for the reader.
    """

    name: str
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
        is out of range.
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
        values = parse_yaml(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
            raise ParameterError(f"expected keys and values, got {values!r}")
        return Profile(**{"name": path.stem, **values})
    except FileNotFoundError:
        raise ParameterError(f"profile: expected a .yaml file, got {str(name)!r}") from None
    except UnicodeDecodeError as error:
        raise ParameterError(f"profile {path}: expected text in UTF-8, got {error}") from None
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
        path, seconds = str(Path(source).absolute()), profile.dataset.clip_seconds
        elsewhere = DatasetSettings(name="folder", path=path, clip_seconds=seconds)
    else:
        raise ParameterError(
            f"dictionary-from: expected one of {', '.join(NAMES)}, a .yaml file, or a table or "
            f"folder of audio, got {source!r}"
        )
    return profile.model_copy(update={"dictionary_from": elsewhere})


def parse_yaml(text: str) -> object:
    """Read YAML in which no key stands twice and no 010 is 8; a ParameterError if it cannot be."""
    try:
        return yaml.load(text, _Plain)  # a SafeLoader
    except ParameterError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # the latter: such as a day that no month has
        raise ParameterError(f"expected YAML, got {error}") from None


class _Plain(yaml.SafeLoader):
    """YAML without the surprises of its version 1.1."""

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
        return self.construct_yaml_int(node)


_Plain.add_constructor("tag:yaml.org,2002:int", _Plain.construct_number)
