"""What chapters and commands may be run with, each within the range that can work."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from multiscale import datasets
from multiscale.config import (
    DatasetSettings,
    Dictionary,
    ParameterError,
    Profile,
    Scale,
    Settings,
    check_architecture,
    load_profile,
    validated,
)


class ChapterParameters(Settings):
    """What a chapter may be run with, each within the range that can work."""

    # Strict, for the chapter gets the value as it was given: "4" is no number of levels.
    model_config = ConfigDict(strict=True)

    profile: str = "laptop"
    seed: int = Field(0, ge=0, lt=2**32)
    clip: int = Field(0, ge=0, description="which clip of the data set is shown")
    scale: Scale = "laplacian"
    window_length: int = Field(1, ge=1, le=128)
    dictionary: Dictionary = 500
    n_levels: int = Field(6, ge=1, le=8)
    level: int = Field(0, ge=0, le=7)
    pooling_length: int = Field(128, ge=1, le=1024)
    n_iter: int = Field(20, ge=1, le=1000)
    n_windows: int = Field(50_000, ge=100)
    n_components: int = Field(50, ge=1, le=1000)
    variance: float = Field(0.99, gt=0, lt=1)
    compute: bool = True
    claim: int = Field(17, ge=1, le=18)
    source: str = Field("soundtracks", description="data set that dictionaries come from")
    n_source_clips: int = Field(60, ge=14, description="clips of it")


def check_parameters(parameters: dict) -> None:
    """Refuse chapter parameters that are unknown or out of range, before anything runs.

    Parameters
    ----------
    parameters : dict
        Name -> value.

    Raises
    ------
    ParameterError
        Naming each bad parameter, what was expected and what was got.
    """
    checked = validated(ChapterParameters, parameters, where="parameters")
    load_profile(checked.profile)
    check_architecture(
        checked.scale,
        checked.window_length,
        checked.dictionary,
        checked.n_levels,
        checked.pooling_length,
    )
    if checked.level >= checked.n_levels:
        raise ParameterError(
            f"level: expected less than n_levels={checked.n_levels}, got {checked.level}"
        )


def borrowing(profile: Profile, source: str) -> Profile:
    """A profile whose dictionaries are learned on another data set.

    Parameters
    ----------
    profile : Profile
        Whose data set they are used on.
    source : str
        Name of the other data set, of which as many clips are used; or the path of a profile
        (``.yaml``) whose data set is meant.

    Returns
    -------
    Profile
        With ``dictionary_from``.

    Raises
    ------
    ParameterError
        If there is no such data set or profile.
    """
    if source.endswith(".yaml"):
        elsewhere = load_profile(source).dataset
    elif source in datasets.PREPARERS:
        elsewhere = DatasetSettings(name=source, n_clips=profile.dataset.n_clips)
    else:
        known = ", ".join(datasets.PREPARERS)
        raise ParameterError(
            f"dictionary-from: expected one of {known} or a .yaml file, got {source!r}"
        )
    return profile.model_copy(update={"dictionary_from": elsewhere})
