"""What has to be there before chapters run: a profile, its data, its experiments."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from multiscale import config
from multiscale.config import DatasetSettings, ParameterError, Profile, load_profile, validated

FOR_TRANSFER = DatasetSettings(name="soundtracks", n_clips=60)
"""The data set that a chapter borrows dictionaries from, if it can be had."""


@dataclass(frozen=True)
class Ready:
    """What came of making ready.

    Attributes
    ----------
    failed : dict of str to str
        Experiment -> message, of those that failed: the book is made without them.
    lacking : dict of str to str
        What this copy's data lacks -> a sentence for the page. Cells tagged ``needs-`` and that
        name are left out.
    """

    failed: dict[str, str] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)


def choose_profile(profile: str, dataset: str | None, data: str | None, clips: str | None) -> str:
    """Name of a profile, perhaps on another data set.

    One that is a file, or that is changed here, is kept under its name, so that pages and commands
    can go by that, and no page tells where its maker keeps files.

    Parameters
    ----------
    profile : str
        Name of a profile, or path of a ``.yaml``.
    dataset : str, optional
        Name of a data set.
    data : str, optional
        A table or a folder of audio; a copy of the data set.
    clips : str, optional
        Clips to use, or "all".

    Returns
    -------
    str
        Name of a profile.

    Raises
    ------
    ParameterError
        If there is no such profile or data set, or a value cannot be.
    """
    changes: dict[str, object] = {"name": dataset} if dataset else {}
    if data:
        changes["path"] = str(Path(data).expanduser().resolve())
    if clips:
        changes["n_clips"] = None if clips == "all" else clips
    if not changes and not profile.endswith(".yaml"):
        return profile
    from multiscale import datasets

    old = load_profile(profile)
    settings = validated(DatasetSettings, {**old.dataset.model_dump(), **changes}, where="data")
    if settings.name not in datasets.PREPARERS:
        known = ", ".join(datasets.PREPARERS)
        raise ParameterError(f"DATASET: expected one of {known}, got {settings.name!r}")
    name = f"{old.name}-{settings.name}" if changes else old.name
    if (config.OWN_PROFILES / f"{name}.yaml").is_file():
        raise ParameterError(
            f"PROFILE: expected a file of another name than {name}.yaml, which is ours"
        )
    new = old.model_copy(update={"dataset": settings})
    path = config.GIVEN_PROFILES / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(new.model_dump(exclude={"name"})), encoding="utf-8")
    return name


def prepare_data(profile: Profile) -> Ready:
    """Render or fetch the clips, and compile once what every chapter would compile.

    Parameters
    ----------
    profile : Profile
        Names the data set.

    Returns
    -------
    Ready
        Nothing has failed.

    Raises
    ------
    ParameterError
        If there are too few clips for the dictionaries that chapters show.
    """
    import librosa
    import matplotlib.font_manager  # noqa: F401  (builds matplotlib's font cache)

    from multiscale import datasets
    from multiscale.architectures import Architecture, feature_learner

    librosa.filters.mel(sr=16_000, n_fft=1024, n_mels=40)
    dataset = datasets.load(profile.dataset)
    if len(dataset.skipped):
        print(f"{len(dataset.skipped)} files could not be used: Section 4.1 lists them")
    most = Architecture(scale="gaussian", window_length=4, dictionary=500)  # that a chapter needs
    feature_learner(profile, most).check_windows(dataset.split("train"))
    return Ready(lacking=lacking(profile))


def prepare_all(profile: Profile) -> Ready:
    """Make the data ready, and compute the experiments that the last chapters show.

    Parameters
    ----------
    profile : Profile
        Data set and sizes.

    Returns
    -------
    Ready
        With what failed.
    """
    from multiscale import engine

    ready = prepare_data(profile)
    print("experiments ...", flush=True)
    return Ready(engine.run_all(profile), ready.lacking)


def lacking(profile: Profile) -> dict[str, str]:
    """What some chapters need and this copy does not have.

    Parameters
    ----------
    profile : Profile
        Its data set is at hand.

    Returns
    -------
    dict of str to str
        As :class:`Ready` has it.
    """
    from multiscale import datasets, experiments

    dataset = datasets.load(profile.dataset)
    possible = experiments.possible_tasks(dataset)
    found = {}
    if "tagging" not in possible:
        found["tags"] = "the data set of this copy has no tags that can be predicted"
    if "similarity" not in possible:
        found["artists"] = "the data set of this copy does not tell enough artists apart"
    if dataset.name != "cover_bands":
        found["cover-bands"] = "this copy was made from another data set than cover bands"
    try:
        datasets.load(FOR_TRANSFER)
    except ParameterError as error:
        found["soundtracks"] = f"the data set of soundtracks cannot be had here: {error}"
    return found
