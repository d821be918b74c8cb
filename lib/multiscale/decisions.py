"""The decision register: what the paper leaves open, what was chosen here, and why.

The choices stand in ``decisions.yaml``. Their values are read from the code that acts on them, so
that the register cannot say one thing and the library do another.
"""

from __future__ import annotations

import inspect
from functools import reduce
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from multiscale import grid
from multiscale.architectures import PAPERS_BEST
from multiscale.config import ParameterError, Profile, Settings, validated
from multiscale.evidence import Evidence
from multiscale.experiments import Experiment


class Decision(Settings):
    """One open choice.

    ``value`` may hold format fields such as ``{0:g}`` for the first of ``constants``; ``changes``
    name what was tried instead, in :data:`multiscale.grid.OPEN_CHOICES`.
    """

    section: str
    choice: str
    value: str
    module: str
    reason: str
    constants: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


def register() -> list[Decision]:
    """All decisions, in the order of the pipeline."""
    path = Path(__file__).with_name("decisions.yaml")
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [
        validated(Decision, entry, where=f"decision {number}")
        for number, entry in enumerate(entries, start=1)
    ]


def sensitivities(evidence: Evidence) -> pd.DataFrame:
    """By how much the AUC of the paper's best architecture changes with each open choice.

    Parameters
    ----------
    evidence : Evidence
        The results of a profile.

    Returns
    -------
    DataFrame
        Index: the change, as in :data:`multiscale.grid.OPEN_CHOICES`. Columns effect, low and
        high; NaN where a result is missing.
    """
    reference = Experiment(task="tagging", architecture=PAPERS_BEST)
    rows = {}
    for name, experiment in grid.sensitivities().items():
        effect = evidence.change(experiment, reference)
        found = (effect.value, effect.low, effect.high) if effect else (np.nan,) * 3
        rows[name] = dict(zip(("effect", "low", "high"), found, strict=True))
    return pd.DataFrame.from_dict(rows, orient="index")


def stated(decision: Decision, profile: Profile) -> str:
    """Our value in words, its constants filled in.

    Parameters
    ----------
    decision : Decision
        One of :func:`register`.
    profile : Profile
        Where the choice is one of size.

    Returns
    -------
    str
        As a reader may read it.
    """
    return decision.value.format(*(look_up(name, profile) for name in decision.constants))


def look_up(name: str, profile: Profile) -> object:
    """Value of a constant, of a setting's default, or of a parameter's default.

    Parameters
    ----------
    name : str
        ``multiscale.module.CONSTANT``, ``multiscale.module.Settings.field``,
        ``multiscale.module.function.parameter``, or ``profile.field.field``.
    profile : Profile
        What names that start with ``profile.`` are looked up in.

    Returns
    -------
    object
        Whatever stands there.

    Raises
    ------
    ParameterError
        If nothing of that name exists.
    """
    parts = name.split(".")
    if parts[0] == "profile":
        found, rest = profile, parts[1:]
    else:
        found, rest = import_module(".".join(parts[:2])), parts[2:]
    try:
        return reduce(_member, rest, found)
    except (AttributeError, KeyError):
        raise ParameterError(f"decision: expected a constant of the code, got {name!r}") from None


def _member(owner: object, name: str) -> object:
    if inspect.isclass(owner) and name in getattr(owner, "model_fields", {}):
        return owner.model_fields[name].default
    if callable(owner) and not hasattr(owner, name):
        return inspect.signature(owner).parameters[name].default
    return getattr(owner, name)
