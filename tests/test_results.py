"""Tables of results: what is there, what is missing, and scores that the paper does not give."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import made_up
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from multiscale.config import ParameterError
from multiscale.similarity import clip_probabilities
from multiscale.study import Study, design, results
from multiscale.study.design import Experiment

PCA = made_up.SMALL.model_copy(update={"dictionary": "pca"})
WANTED = [Experiment(task=task, architecture=PCA) for task in design.TASKS]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MULTISCALE_HOME", str(tmp_path_factory.mktemp("home")))
        study = Study(made_up.profile(tmp_path_factory.mktemp("music")))
        for experiment in WANTED:
            study.run(experiment)
        yield study


def test_one_row_a_run_and_none_for_what_is_missing(study):
    absent = Experiment(task="tagging", architecture=made_up.SMALL)
    table = results.results_table(study, [*WANTED, absent])
    assert list(table["task"]) == ["tagging"] * 2 + ["similarity"] * 2
    assert list(table["run"]) == [0, 1, 0, 1]
    assert set(results.IDENTIFYING) | set(results.SCORES) < set(table.columns)
    assert table["change"].unique() == ["n_levels=2, pooling_length=16"]


def test_a_draw_is_no_change(study):
    drawn = Experiment(task="tagging", architecture=PCA.model_copy(update={"draw": 2}))
    columns = [results._columns(experiment) for experiment in (WANTED[0], drawn)]
    assert [one.pop("draw") for one in columns] == [0, 2]
    assert columns[0] == columns[1]


def test_average_precision_is_the_mean_over_tags(study):
    table = results.results_table(study, WANTED[:1])
    tags = study.music.split("test").tags
    for row, scores in zip(table.itertuples(), study.result(WANTED[0]).outputs, strict=True):
        expected = [average_precision_score(t, s) for t, s in zip(tags.T, scores.T, strict=True)]
        assert row.average_precision == pytest.approx(np.mean(expected))
        assert np.isnan(row.precision_at_10)


def test_artists_seen_and_unseen_are_told_apart(study):
    alone = results.results_table(study, WANTED[1:])
    assert alone["test_unseen"].isna().all()
    test = study.music.clips.index[study.music.clips["split"] == "test"]
    clips = study.music.clips.copy()
    clips.loc[test[clips.loc[test, "artist"] == "artist 1"], "artist"] = "new"
    clips.loc[test[0], "artist"] = "of one clip"
    changed = SimpleNamespace(music=replace(study.music, clips=clips), result=study.result)
    table = results.results_table(changed, WANTED[1:])
    artists, embedded = changed.music.split("test").artists, study.result(WANTED[1]).outputs[0]
    scored, unseen = artists != "of one clip", artists == "new"
    values = {
        "test": clip_probabilities(embedded, artists),
        "precision_at_10": results.clip_precision(embedded, artists),
    }
    for name, of_clips in values.items():
        assert table[f"{name}_unseen"][0] == pytest.approx(of_clips[unseen].mean())
        assert table[f"{name}_seen"][0] == pytest.approx(of_clips[scored & ~unseen].mean())
    assert table["precision_at_10"][0] == pytest.approx(values["precision_at_10"][scored].mean())


def test_precision_counts_the_nearest_of_the_same_artist():
    embedded = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [9.0]])
    artists = np.array(["a", "a", "b", "b", "b", None], object)
    found = results.clip_precision(embedded, artists, n=2)
    np.testing.assert_allclose(found, [0.5, 0.5, 0.0, 0.5, 0.5, 0.0])


def test_by_architecture_has_a_place_for_every_one():
    rows = [
        {"representation": "gaussian", "window_length": 2, "dictionary": name, "test": score}
        for name, score in (("500", 0.4), ("500", 0.6), ("pca", 0.7))
    ]
    table = results.by_architecture(pd.DataFrame(rows))
    assert table.shape == (7, 4)
    assert table.notna().to_numpy().sum() == 2
    assert table.loc[("gaussian", 2), "500"] == pytest.approx(0.5)
    for place in table.melt(ignore_index=False).dropna().set_index("dictionary", append=True).index:
        assert results.experiment("tagging", *place) in design.grid(["tagging"])


def test_one_architecture_cannot_be_compared(study):
    table = results.results_table(study, WANTED[:1])
    with pytest.raises(ParameterError, match="expected 2 architectures or more in the store"):
        results.by_architecture(table)


def test_a_missing_level_has_a_column_all_the_same(study):
    with pytest.raises(ParameterError, match=r"expected a level of .* in the store, got none"):
        results.by_level(study, PCA)
    study.run(design.single_levels(PCA)[1])
    table = results.by_level(study, PCA)
    assert list(table.columns) == ["all", "0", "1"]
    assert table["0"].isna().all()
    runs = results.tag_table(study, WANTED)
    for tag, expected in runs.groupby("tag")["auc"].mean().items():
        assert table.loc[tag, "all"] == pytest.approx(expected)
    assert table["1"].between(0, 1).all()


def test_summary_is_over_runs(study):
    table = results.results_table(study, WANTED)
    found = results.summary(table)
    assert list(found["runs"]) == [2, 2]
    first = table[table["task"] == "tagging"]["test"]
    assert found["mean"][0] == pytest.approx(first.mean())
    assert found["deviation"][0] == pytest.approx(first.std())


def test_a_figure_says_which_data_it_is_from(study):
    music = study.music
    assert results.source_words(music) == "data: folder, 30 clips; the paper: MagnaTagATune"
    assert results.source_words(replace(music, name="magnatagatune")).endswith("30 clips")
