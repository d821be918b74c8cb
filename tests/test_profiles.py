"""Profiles that come with the package, one's own, and those that are refused, by name."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import USERS_HOME

from multiscale.config import ParameterError, TrainingSettings
from multiscale.study import Study, design
from multiscale.study.design import PAPERS_BEST
from multiscale.study.learning import learner
from multiscale.study.profiles import (
    OWN_DAMPING,
    PROFILES,
    Profile,
    borrowing,
    load_profile,
)
from multiscale.study.study import _task


@pytest.mark.parametrize("name", ["smoke", "laptop", "paper"])
def test_profiles_load(name):
    profile = load_profile(name)
    assert profile.name == name
    assert profile.description
    assert profile.source
    assert load_profile(PROFILES / f"{name}.yaml") == profile


def test_the_paper_profile_is_the_papers():
    profile = load_profile("paper")
    assert profile.dataset.name == "magnatagatune"
    assert profile.dataset.n_clips is None
    assert profile.dataset.n_tags == 50
    assert profile.tagging.n_runs == profile.similarity.n_runs == 10


@pytest.mark.parametrize("task", design.TASKS)
@pytest.mark.parametrize("name", ["smoke", "laptop", "paper"])
def test_what_searches_choose_lies_well_within_their_ranges(name, task, monkeypatch):
    """Of results that are there: one best near an end is chance, their median is not."""
    monkeypatch.setenv("MULTISCALE_HOME", USERS_HOME)
    study, ranges = Study(name), _task(task)
    try:
        found = [study.result(experiment) for experiment in design.grid([task])]
    except (ParameterError, OSError) as error:
        pytest.skip(f"no data: {error}")
    if None in found:
        pytest.skip(f"the grid of {name} has not been computed")
    for of, (low, high) in {
        "learning_rate": ranges.learning_rates,
        "weight_decay": ranges.weight_decays,
    }.items():
        chosen = np.log([getattr(one, of) for result in found for one in result.best])
        place = np.median((chosen - np.log(low)) / (np.log(high) - np.log(low)))
        assert 0.1 < place < 0.9, of


def test_music_of_your_own_is_whitened_with_damping_unless_a_profile_says_otherwise():
    own, ours = ({"name": name, "path": "music"} for name in ("folder", "magnatagatune"))
    for dataset, learning, damping in [
        (own, {}, OWN_DAMPING),
        (own, {"whitening_damping": 0}, 0),
        (ours, {}, 0),
    ]:
        profile = Profile(name="p", description="d", dataset=dataset, learning=learning)
        assert profile.on_its_data.whitening_damping == damping
        assert learner(PAPERS_BEST, profile.on_its_data).whitening_damping == damping
        for asked in (0.5, 0.0):
            architecture = PAPERS_BEST.model_copy(update={"whitening_damping": asked})
            assert learner(architecture, profile.on_its_data).whitening_damping == asked


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("description: d\nclips: 3", "profile mine: clips: extra inputs are not permitted, got 3"),
        ("description: d\nlearning: {n_iters: 3}", r"learning\.n_iters: extra inputs"),
        ("description: d\nlearning: {n_iter: 0}", r"learning\.n_iter: .*integer .* 1, got 0"),
        ("description: d\ntagging: {n_runs: many}", r"tagging\.n_runs: .*integer.*got 'many'"),
        ("description: d\ndataset: {clip_seconds: 1}", r"dataset\.clip_seconds: .*5, got 1"),
        ("learning: {n_iter: 3}", "description: field required"),
        ("description: [", "expected YAML"),
        ("- a\n- b", r"expected keys and values, got \['a', 'b'\]"),
        ("", "expected keys and values, got None"),
        ("description: d\n3: 4", "expected keys and values, got "),
        ("description: d\nlearning: {n_iter: 2, n_iter: 20}", "n_iter: expected it once"),
    ],
)
def test_bad_profiles_are_refused(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ParameterError, match=message):
        load_profile(path)


def test_a_profile_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("description: d\nlearning: {n_iter: 7}")
    profile = load_profile(path)
    assert (profile.name, profile.learning.n_iter) == ("mine", 7)
    assert profile.tagging == TrainingSettings()


@pytest.mark.parametrize("name", ["nope", "nope.yaml", "", "laptop.yml", "../profiles/laptop"])
def test_missing_profiles_are_named(name):
    with pytest.raises(ParameterError, match=r"profile.*: expected .* file"):
        load_profile(name)


def test_a_profile_that_a_book_was_given_goes_by_its_name(home):
    (home / "profiles").mkdir(parents=True)
    (home / "profiles" / "given.yaml").write_text("description: d")
    assert load_profile("given").name == "given"
    with pytest.raises(ParameterError, match="expected one of given, laptop, paper, smoke or"):
        load_profile("nope")


def test_a_source_of_dictionaries(tmp_path):
    profile = Profile(name="a", description="b", dataset={"n_clips": 30})
    assert borrowing(profile, "magnatagatune").dictionary_from.n_clips == 30
    path = tmp_path / "mine.yaml"
    path.write_text("description: d\ndataset: {n_clips: 7}")
    assert borrowing(profile, str(path)).dictionary_from.n_clips == 7
    with pytest.raises(ParameterError, match="dictionary-from: expected one of cover_bands"):
        borrowing(profile, "radio")
    with pytest.raises(ParameterError, match=r"profile nowhere: .* expected"):
        borrowing(profile, "nowhere.yaml")
