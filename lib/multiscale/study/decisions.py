"""The decision register: what the paper leaves open, what was chosen here, and why.

The choices stand in ``decisions.yaml``. Their values are read from the code that acts on them, so
that the register cannot say one thing and the library do another.
"""

from __future__ import annotations

import inspect
from operator import attrgetter
from pathlib import Path
from pydoc import locate

import pandas as pd
import yaml

from multiscale.config import ParameterError, Settings
from multiscale.study import design
from multiscale.study.evidence import Evidence
from multiscale.study.profiles import Profile


class Decision(Settings):
    """One open choice.

    ``value`` may hold format fields such as ``{0:g}`` for the first of ``constants``; ``changes``
    name what was tried instead, in :data:`multiscale.study.design.OPEN_CHOICES`.
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
    return [Decision(**entry) for entry in yaml.safe_load(path.read_text(encoding="utf-8"))]


def sensitivities(evidence: Evidence) -> pd.DataFrame:
    """By how much the AUC of the paper's best architecture changes with each open choice.

    Index: the change, as in :data:`multiscale.study.design.OPEN_CHOICES`; columns as
    :meth:`~multiscale.study.evidence.Evidence.changes` gives them.
    """
    reference = design.Experiment(task="tagging", architecture=design.PAPERS_BEST)
    return evidence.changes(design.sensitivities(), reference)


def stated(decision: Decision, profile: Profile) -> str:
    """Our value in words, its constants filled in from the code, or from a profile."""
    return decision.value.format(*(look_up(name, profile) for name in decision.constants))


def look_up(name: str, profile: Profile) -> object:
    """A constant, or the default of a parameter or setting, or ``profile.field.field``."""
    owner, _, last = name.rpartition(".")
    try:
        if name.startswith("profile."):
            return attrgetter(name.removeprefix("profile."))(profile)
        found = locate(owner)
        if callable(found):
            return inspect.signature(found).parameters[last].default
        return getattr(found, last)
    except (AttributeError, KeyError):
        raise ParameterError(f"decision: expected a constant of the code, got {name!r}") from None
