"""Tables of results: what is there, what is missing, and scores that the paper does not give."""

from __future__ import annotations

from dataclasses import replace

import made_up
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from multiscale import datasets, experiments, grid, results, similarity
from multiscale.architectures import Architecture
from multiscale.config import ParameterError
from multiscale.experiments import Experiment

SMALL = {"n_levels": 2, "pooling_length": 16}
WANTED = [
    Experiment(task=task, architecture=Architecture(dictionary="pca", **SMALL))
    for task in experiments.TASKS
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MULTISCALE_HOME", str(tmp_path_factory.mktemp("home")))
        music = datasets.load(made_up.PROFILE.dataset)
        for experiment in WANTED:
            experiments.run(made_up.PROFILE, experiment, music)
        yield music


def test_one_row_a_run_and_none_for_what_is_missing(dataset):
    absent = Experiment(task="tagging", architecture=Architecture(dictionary=6, **SMALL))
    table = results.results_table(made_up.PROFILE, [*WANTED, absent], dataset)
    assert list(table["task"]) == ["tagging"] * 2 + ["similarity"] * 2
    assert list(table["run"]) == [0, 1, 0, 1]
    assert results.missing(made_up.PROFILE, [*WANTED, absent]) == [absent]
    assert set(results.SCORES) < set(table.columns)
    assert table["change"].unique() == ["n_levels=2, pooling_length=16"]


def test_average_precision_is_the_mean_over_tags(dataset):
    table = results.results_table(made_up.PROFILE, WANTED[:1], dataset)
    predictions = experiments.stored_result(made_up.PROFILE, WANTED[0]).predictions
    tags = dataset.split("test").tags
    for row, predicted in zip(table.itertuples(), predictions, strict=True):
        expected = [average_precision_score(t, p) for t, p in zip(tags.T, predicted.T, strict=True)]
        assert row.average_precision == pytest.approx(np.mean(expected))
        assert np.isnan(row.precision_at_10)


def test_artists_met_and_new_are_told_apart(dataset):
    clips = dataset.clips.copy()
    clips.loc[(clips["split"] == "test") & (clips["artist"] == "artist 1"), "artist"] = "new"
    changed = replace(dataset, clips=clips)
    table = results.results_table(made_up.PROFILE, WANTED[1:], changed)
    test = changed.split("test")
    places = experiments.stored_result(made_up.PROFILE, WANTED[1]).predictions[0]
    probability = similarity.clip_probability(places, test.artists)
    new = test.artists == "new"
    assert table["test_new"][0] == pytest.approx(probability[new].mean())
    assert table["test_met"][0] == pytest.approx(probability[~new].mean())
    alone = results.results_table(made_up.PROFILE, WANTED[1:], dataset)
    assert alone["test_new"].isna().all()


def test_by_architecture_has_a_place_for_every_one(dataset):
    rows = [
        {"scale": "gaussian", "window_length": 2, "dictionary": dictionary, "test": score}
        for dictionary, score in (("500", 0.4), ("500", 0.6), ("pca", 0.7))
    ]
    table = results.by_architecture(pd.DataFrame(rows))
    assert table.shape == (7, 4)
    assert table.notna().to_numpy().sum() == 2
    assert table.loc[("gaussian", 2), "500"] == pytest.approx(0.5)
    assert results.words("gaussian", 2, "500") == "gaussian, 2 frames, 500 means"
    assert results.words("laplacian", 1, "pca") == "laplacian, 1 frame, PCA"


def test_one_architecture_cannot_be_compared(dataset):
    table = results.results_table(made_up.PROFILE, WANTED[:1], dataset)
    with pytest.raises(ParameterError, match="expected 2 architectures or more in the store"):
        results.by_architecture(table)


def test_a_missing_level_has_a_column_all_the_same(dataset):
    whole = WANTED[0].architecture
    with pytest.raises(ParameterError, match=r"expected a level of .* in the store, got none"):
        results.by_level(made_up.PROFILE, whole, dataset)
    experiments.run(made_up.PROFILE, grid.single_levels(whole)[1], dataset)
    table = results.by_level(made_up.PROFILE, whole, dataset)
    assert list(table.columns) == ["all", "0", "1"]
    assert table["0"].isna().all()
    runs = results.tag_table(made_up.PROFILE, WANTED[:1], dataset)
    for tag, expected in runs.groupby("tag")["auc"].mean().items():
        assert table.loc[tag, "all"] == pytest.approx(expected)
    assert table["1"].between(0, 1).all()


def test_summary_is_over_runs(dataset):
    table = results.results_table(made_up.PROFILE, WANTED, dataset)
    told = results.summary(table)
    assert list(told["runs"]) == [2, 2]
    first = table[table["task"] == "tagging"]["test"]
    assert told["mean"][0] == pytest.approx(first.mean())
    assert told["deviation"][0] == pytest.approx(first.std())


def test_a_figure_says_which_data_it_is_from(dataset):
    assert results.source(dataset) == "data: made_up, 30 clips; the paper: MagnaTagATune"
    assert results.source(replace(dataset, name="magnatagatune")).endswith("30 clips")


def test_the_grid_is_the_papers():
    tagging = grid.architectures_on(["tagging"])
    assert len(tagging) == len(set(tagging)) == 28
    everything = grid.everything()
    assert len(everything) == len(set(everything))
    assert {e.task for e in grid.everything(["similarity"])} == {"similarity"}
