"""The decision register: what the paper leaves open, what was chosen here, and why.

The choices stand in ``decisions.yaml``. Their values are read from the code that acts on them, so
that the register cannot say one thing and the library do another.
"""

from __future__ import annotations

import inspect
from functools import reduce
from importlib import import_module
from pathlib import Path

import yaml

from multiscale.config import ParameterError, Profile, Settings, validated


class Decision(Settings):
    """One open choice.

    ``value`` may hold format fields such as ``{0:g}`` for the first of ``constants``.
    """

    section: str
    choice: str
    value: str
    module: str
    reason: str
    constants: tuple[str, ...] = ()


def register() -> list[Decision]:
    """All decisions, in the order of the pipeline."""
    path = Path(__file__).with_name("decisions.yaml")
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [
        validated(Decision, entry, where=f"decision {number}")
        for number, entry in enumerate(entries, start=1)
    ]


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
