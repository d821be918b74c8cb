"""A study: what it owns, keeps and finds again, on a few seconds of made-up music."""

from __future__ import annotations

import inspect
import pickle
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import made_up
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from multiscale.config import ParameterError
from multiscale.datasets import SPLITS
from multiscale.identity import source_files
from multiscale.similarity import nca_score
from multiscale.study import learning, workers
from multiscale.study.design import TASKS, Architecture, Experiment
from multiscale.study.jobs import jobs, needed
from multiscale.study.study import Study
from multiscale.tagging import run_scores

SMALL = made_up.SMALL


def small(task: str, architecture: Architecture = SMALL, **changes) -> Experiment:
    return Experiment(task=task, architecture=architecture, **changes)


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    """A folder of 30 clips, which tests do not change."""
    path = tmp_path_factory.mktemp("music")
    made_up.folder(path)
    return path


@pytest.fixture
def profile(music, home):
    """A profile of that folder, with an empty store."""
    return made_up.profile(music, dataset=dataset(music))


def dataset(folder: Path, **changes):
    return {"name": "folder", "path": str(folder / "table.csv"), "clip_seconds": 5, **changes}


@pytest.fixture
def refuse(monkeypatch):
    """Make every step of the work raise, once called."""

    def raises(*_, **__):
        raise AssertionError("computed again")

    def switch():
        steps = ("protocol.search", "protocol.fit_runs", "learning.fit_many")
        for name in (*steps, "learning.transform_many"):
            monkeypatch.setattr(f"multiscale.study.{name}", raises)

    return switch


def test_features_of_a_part_are_never_those_of_the_whole(profile, music):
    """Nothing of a study takes a data set; and a part of the data is another study's."""
    for name, method in inspect.getmembers(Study, inspect.isfunction):
        assert not {"dataset", "clips", "music"} & set(inspect.signature(method).parameters), name
    with pytest.raises(AttributeError, match="music"):
        Study(profile).music = Study(profile).music[np.arange(15)]
    part = made_up.profile(music, dataset=dataset(music, n_clips=15))
    study, of_a_part = Study(profile), Study(part)
    assert study.feature_file(SMALL, 0).path != of_a_part.feature_file(SMALL, 0).path
    few, all_ = of_a_part.features(SMALL), study.features(SMALL)
    assert sum(map(len, few.values())) == 15
    assert sum(map(len, all_.values())) == len(study.music) == 30


def test_features_of_all_clips_are_held_once():
    rng = np.random.default_rng(0)
    splits = rng.permutation(np.repeat(SPLITS, (90, 10, 20)))
    music = SimpleNamespace(clips=pd.DataFrame({"split": splits}))
    whole = rng.standard_normal((120, 7, 3000), np.float32)
    shards = ({"features": some.copy(), "sizes": [1000] * 3} for some in np.split(whole, 12))
    tracemalloc.start()
    try:
        parts = learning.by_split(shards, music)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * whole.nbytes
    for name in SPLITS:
        np.testing.assert_array_equal(parts[name], whole[splits == name])
    shards = ({"features": some, "sizes": [1000] * 3} for some in np.split(whole, 2))
    of_level = learning.by_split(shards, music, 1)
    np.testing.assert_array_equal(of_level["valid"], whole[splits == "valid", :, 1000:2000])


def test_files_that_change_are_another_study_s(tmp_path, home):
    profile = made_up.profile(tmp_path / "music")
    before = Study(profile)
    path = before.feature_file(SMALL, 0).path
    made_up.folder(tmp_path / "music", n_clips=24)
    with pytest.raises(ParameterError, match="dataset: expected folder as it was"):
        before.features(SMALL)
    after = Study(profile)
    assert after.feature_file(SMALL, 0).path != path
    assert sum(map(len, after.features(SMALL).values())) == 24


@pytest.mark.parametrize(("task", "n_outputs"), [("tagging", 2), ("similarity", 50)])
def test_end_to_end_stored_and_repeatable(task, n_outputs, profile, refuse, monkeypatch, tmp_path):
    study = Study(profile)
    assert study.result(small(task)) is None
    result = study.run(small(task))
    of_trials = (result.trial_scores, result.trial_rates, result.trial_decays)
    assert {values.shape for values in of_trials} == {(2, 2)}
    assert result.scores.shape == (2,)
    assert result.outputs.shape == (2, 10, n_outputs)
    assert ((result.scores > 0) & (result.scores <= 1)).all()
    assert result.history.shape in {(epochs, 2) for epochs in range(1, 5)}
    assert len(np.unique(result.trial_rates)) == 4  # a search for each run
    for run, chosen in enumerate(np.argmax(result.trial_scores, axis=1)):
        assert result.best[run].learning_rate == result.trial_rates[run, chosen]
        assert result.best[run].weight_decay == result.trial_decays[run, chosen]
    assert not np.array_equal(result.outputs[0], result.outputs[1])

    monkeypatch.setenv("MULTISCALE_HOME", str(tmp_path / "elsewhere"))
    again = Study(profile).run(small(task))
    np.testing.assert_array_equal(again.outputs, result.outputs)
    np.testing.assert_array_equal(again.scores, result.scores)
    refuse()
    stored = Study(profile).run(small(task))
    np.testing.assert_array_equal(stored.outputs, result.outputs)
    assert stored.best == result.best
    assert stored.seconds == again.seconds
    with pytest.raises(AssertionError, match="computed again"):
        Study(profile, seed=1).run(small(task))


@pytest.mark.parametrize("task", TASKS)
def test_the_model_is_the_one_whose_scores_are_told(task, profile, refuse):
    study = Study(profile)
    result = study.run(small(task))
    test = study.features(SMALL)["test"]
    refuse()
    model = study.model(small(task))
    np.testing.assert_array_equal(model.outputs(test), result.outputs)
    score = {"tagging": run_scores, "similarity": nca_score}[task]
    np.testing.assert_allclose(score(study.labels(task)["test"], result.outputs), result.scores)
    assert len(model.hyperparameters) == len(result.scores) == 2


def test_features_are_learned_from_the_training_clips_alone(profile):
    study = Study(profile)
    features = study.features(SMALL)
    shape = (10, features["test"].shape[1], 12)
    assert {name: part.shape for name, part in features.items()} == dict.fromkeys(SPLITS, shape)
    alone = clone(study.dictionary(SMALL)).fit(study.music.split("train"))
    for level, same in zip(study.dictionary(SMALL).encoders_, alone.encoders_, strict=True):
        np.testing.assert_array_equal(level.means, same.means)
    # Clips are extracted in shards, so batches begin elsewhere: equal up to rounding.
    again = alone.transform(study.music.split("test"))
    np.testing.assert_allclose(features["test"], again, rtol=1e-4, atol=1e-4)
    by_level = [study.features(SMALL, level)["test"] for level in (0, 1)]
    np.testing.assert_array_equal(np.concatenate(by_level, axis=2), features["test"])
    with pytest.raises(ParameterError, match=r"level: expected from 0 .* got 2"):
        study.features(SMALL, 2)


def test_features_serve_both_tasks_and_sizes_of_one_touch_not_the_other(profile, refuse):
    for task in TASKS:
        Study(profile).run(small(task))
    refuse()
    sizes = profile.tagging.model_copy(update={"n_trials": 3})
    longer = Study(profile.model_copy(update={"tagging": sizes, "name": "longer"}))
    longer.run(small("similarity"))
    longer.features(SMALL)
    with pytest.raises(AssertionError, match="computed again"):
        longer.run(small("tagging"))


def test_changes_of_training(profile):
    study = Study(profile)
    changed = small("tagging", training=(("n_runs", 3),))
    assert study.training(changed) == made_up.SIZES.model_copy(update={"n_runs": 3})
    assert len(study.run(changed).scores) == 3
    scaled = study.training(small("tagging", training=(("budget", 3.0),)))
    assert (scaled.n_trials, scaled.patience) == (6, 6)
    assert scaled.n_runs == made_up.SIZES.n_runs
    unknown = small("tagging", training=(("n_run", 3),))
    with pytest.raises(ParameterError, match="n_run: extra inputs"):
        study.run(unknown)


def test_data_sets_without_what_a_task_needs(tmp_path, home, refuse, monkeypatch):
    made = made_up.profile(tmp_path)
    refuse()
    table = (tmp_path / "table.csv").read_text()
    (tmp_path / "table.csv").write_text(table.replace("bright", "").replace("noisy", ""))
    untagged = Study(made)
    assert untagged.tasks == ["similarity"]
    assert {e.task for e in untagged.experiments()} == {"similarity"}
    with pytest.raises(ParameterError, match="tag"):
        untagged.run(small("tagging"))
    (tmp_path / "table.csv").write_text("\n".join(
        line.replace(",artist ", f",number {i} artist ") if ",test," in line else line
        for i, line in enumerate(table.splitlines())
    ))  # fmt: skip
    alone = Study(made)
    assert alone.tasks == ["tagging"]
    with pytest.raises(ParameterError, match="test artists: expected an artist with two clips"):
        alone.run(small("similarity"))
    with pytest.raises(ParameterError, match="task: expected one of tagging, similarity"):
        alone.labels("genre")
    columns = pd.read_csv(tmp_path / "table.csv").drop(columns=["artist", "tags"])
    columns.to_csv(tmp_path / "table.csv", index=False)
    monkeypatch.setattr(workers, "compute", None)  # it would begin processes
    assert Study(made).compute() == {}


def test_a_dictionary_from_elsewhere_is_the_one_learned_there(profile, tmp_path):
    other = made_up.folder(tmp_path / "other", n_clips=24, seed=1)
    here, there = Study(profile), Study(profile.model_copy(update={"dataset": other}))
    borrowed = here.borrowing(other)
    means = [study.dictionary(SMALL).encoders_[0].means for study in (here, there, borrowed)]
    assert means[0].shape != means[1].shape or not np.allclose(means[0], means[1])
    np.testing.assert_array_equal(means[2], means[1])
    # Learned once: the borrower finds what was learned there.
    assert borrowed.dictionary_file(SMALL).path == there.dictionary_file(SMALL).path
    assert borrowed.feature_file(SMALL, 0).path != here.feature_file(SMALL, 0).path
    assert {len(part) for part in borrowed.features(SMALL).values()} == {10}
    # Its data set is prepared as well.
    assert {job.subject[0] for job in jobs(borrowed, [])} == {other, profile.dataset}


def test_another_draw_is_another_dictionary(profile):
    study = Study(profile)
    drawn = [study.dictionary(SMALL.model_copy(update={"draw": draw})) for draw in (0, 1)]
    assert not np.array_equal(drawn[0].encoders_[0].means, drawn[1].encoders_[0].means)


def test_architectures_of_one_representation_are_learned_as_if_alone(profile, monkeypatch, home):
    pair = [SMALL, SMALL.model_copy(update={"window_length": 2})]
    together = Study(profile).learn(pair)
    monkeypatch.setenv("MULTISCALE_HOME", str(home / "alone"))
    for learner, architecture in zip(together, pair, strict=True):
        alone = Study(profile).dictionary(architecture)
        np.testing.assert_array_equal(learner.encoders_[1].means, alone.encoders_[1].means)


def test_results_do_not_depend_on_the_other_task_nor_on_store_or_figures(profile):
    for task, other in (("tagging", "similarity"), ("similarity", "tagging")):
        result, model = Study(profile).result_files(small(task))
        assert result.modules == model.modules
        told = set(result.modules)
        assert {f"multiscale.{task}", "multiscale.kmeans", "multiscale.datasets.folder"} < told
        assert f"multiscale.{other}" not in told
        code = {name for maker in result.makers for name in source_files(maker)}
        apart = ("store", "results", "study", "jobs", "profiles", "design", "evidence")
        assert not code & {f"multiscale.study.{name}" for name in apart}


def test_a_study_travels_as_its_profile_and_seed(profile):
    study = Study(profile, 3)
    assert len(study.music) == 30
    sent = pickle.dumps(study)
    assert len(sent) < 5000
    opened = pickle.loads(sent)
    assert (opened.profile, opened.seed) == (profile, 3)
    assert pickle.loads(sent) is opened  # a process opens it once


@pytest.mark.parametrize("seed", [-1, 1.5, "0", True])
def test_seeds_that_are_none(profile, seed):
    with pytest.raises(ParameterError, match="seed: expected an integer of at least 0, got"):
        Study(profile, seed)


WANTED = [
    small(task, SMALL.model_copy(update=change))
    for task in TASKS
    for change in ({}, {"dictionary": "pca"}, {"representation": "gaussian"})
]


def test_jobs_come_after_what_they_need(profile):
    work = jobs(Study(profile), WANTED)
    labels = [job.label for job in work]
    assert len(set(labels)) == len(labels)
    for index, job in enumerate(work):
        assert set(job.needs) <= set(labels[:index])
    learn = [job for job in work if job.kind == "learn"]
    assert [len(job.subject[0]) for job in learn] == [2, 1]  # one pass per representation


def test_what_failed_is_noted_and_left_alone_if_asked(profile):
    study = Study(profile)
    work = jobs(study, WANTED[:1])
    learn = next(job for job in work if job.kind == "learn")
    learn.note_failure(MemoryError("no room"))
    assert learn.failure["error"] == "MemoryError: no room"
    assert learn.state == "failed"
    assert needed(work, retry=False) == []
    assert {job.kind for job in needed(work)} == {"data", "learn", "extract", "train"}
    learn.forget_failure()
    assert len(needed(work, retry=False)) == len(work)


def test_a_dictionary_that_is_too_large_leaves_the_others_alone(profile):
    study = Study(profile)
    large = SMALL.model_copy(update={"dictionary": 301})  # the profile samples 300 windows
    assert study.learnable([SMALL, large]) == [SMALL]
    assert study.learnable([large]) == [large]
    with pytest.raises(ParameterError, match="expected at most"):
        study.run(small("tagging", large))


def test_architectures_that_cannot_be_built_leave_nothing(profile, home):
    with pytest.raises(ParameterError, match="window_length: expected at most"):
        Study(profile).run(small("tagging", Architecture(window_length=64)))
    assert not (home / "store").exists()
