"""The decision register names what exists, and says what the code does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_claims import papers, world

import multiscale
from multiscale import kmeans, representations
from multiscale.config import ParameterError
from multiscale.study import decisions, design
from multiscale.study.evidence import Evidence
from multiscale.study.profiles import load_profile
from multiscale.tagging import TAGGING

PACKAGE = Path(multiscale.__file__).parent
LAPTOP = load_profile("laptop")


@pytest.mark.parametrize("decision", decisions.register(), ids=lambda d: f"{d.section} {d.choice}")
def test_every_decision_names_a_module_and_constants_that_exist(decision):
    assert (PACKAGE / f"{decision.module.replace('.', '/')}.py").is_file()
    words = decisions.stated(decision, LAPTOP)
    assert words
    assert "{" not in words
    assert decision.section.startswith("§")


def test_no_choice_is_listed_twice():
    names = [(d.section, d.choice) for d in decisions.register()]
    assert len(set(names)) == len(names)


def test_values_are_those_of_the_code():
    assert decisions.look_up("multiscale.representations.KERNEL", LAPTOP) == representations.KERNEL
    damping = decisions.look_up("multiscale.kmeans.SphericalKMeans.damping", LAPTOP)
    assert damping == kmeans.SphericalKMeans().damping
    constant = decisions.look_up("multiscale.config.SpectrogramSettings.log_constant", LAPTOP)
    assert constant == 10_000
    rates = decisions.look_up("multiscale.tagging.TAGGING.learning_rates", LAPTOP)
    assert rates == TAGGING.learning_rates
    assert decisions.look_up("profile.learning.n_windows", LAPTOP) == LAPTOP.learning.n_windows


@pytest.mark.parametrize(
    "name",
    ["multiscale.representations.COLOUR", "multiscale.encoding.fit_whitening.x", "profile.colour"],
)
def test_a_constant_that_is_gone_is_an_error(name):
    with pytest.raises(ParameterError, match="expected a constant"):
        decisions.look_up(name, LAPTOP)


def test_every_open_choice_that_is_measured_has_its_place_in_the_register():
    named = [change for decision in decisions.register() for change in decision.changes]
    assert sorted(named) == sorted(design.OPEN_CHOICES)


def test_sensitivities_are_changes_from_the_papers_best():
    changed = world(lambda e, tag: 1.5 if e.architecture.log_constant == 100 else papers(e, tag))
    table = decisions.sensitivities(changed)
    assert list(table.index) == list(design.OPEN_CHOICES)
    assert table.loc["log constant 100", "high"] < 0
    nothing = Evidence({}, np.zeros((5, 1), bool), ["slow"], np.array(list("aabbc")))
    assert decisions.sensitivities(nothing).isna().all(axis=None)
