"""The cost of a study, from its shapes, and the time left."""

from __future__ import annotations

from itertools import pairwise

import made_up
import pandas as pd
import pytest

from multiscale.study import Study, design, forecast
from multiscale.study.forecast import TimeLeft
from multiscale.study.jobs import jobs

SLOW = 1e9


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MULTISCALE_HOME", str(tmp_path_factory.mktemp("home")))
        yield Study(made_up.profile(tmp_path_factory.mktemp("music")))


def test_every_job_has_a_cost(study):
    work = jobs(study, design.everything())
    table = forecast.costs(study, work, SLOW)
    assert list(table["job"]) == [job.label for job in work]
    figures = table.loc[table["kind"] != "data", ["flop", "disk", "memory", "seconds"]]
    assert (figures > 0).all(axis=None)
    assert (table["seconds"] > 0).all()


def test_training_counts_its_products(study):
    """Two products of two operations a step: forwards, and backwards to the weights."""
    experiment = design.grid(["tagging"])[1]  # 200 means
    table = forecast.costs(study, jobs(study, [experiment]), SLOW)
    row = table[table["kind"] == "train"].iloc[0]
    settings = made_up.SIZES
    n_pools = (1 + 5 * 16_000 // 512) // 128
    examples = 0.7 * 30 * n_pools  # one minibatch: the search is over before it halves its trials
    epochs = settings.max_epochs * settings.n_runs * (settings.n_trials + forecast.EPOCHS)
    expected = forecast.TRAINING * 4 * examples * 1200 * settings.n_hidden * epochs
    assert row["flop"] == pytest.approx(expected)
    assert row["seconds"] == pytest.approx(forecast.BEGUN + expected / SLOW)


def test_more_workers_take_less_time_down_to_the_longest_job(study):
    table = forecast.costs(study, jobs(study, design.grid()), SLOW)
    times = [forecast.wall_seconds(table, count) for count in (1, 2, 1000)]
    assert times[0] == pytest.approx(table["seconds"].sum())
    assert times[0] > times[1] > times[2]
    assert times[2] == pytest.approx(table.groupby("kind")["seconds"].max().sum())


def test_this_machine_can_be_measured():
    assert 1e8 < forecast.speed() < 1e14


def simulated(wrong_by: float, n_workers: int = 2) -> list[tuple[float, float]]:
    """Time gone and time left, again and again, of jobs that take so many times the forecast."""
    kinds = {"learn": [30.0, 12.0, 12.0], "extract": [8.0] * 20, "train": [5.0, 20.0, 40.0] * 10}
    rows = [
        (kind, f"{kind} {number}", seconds)
        for kind, all_seconds in kinds.items()
        for number, seconds in enumerate(sorted(all_seconds, reverse=True))
    ]
    left = TimeLeft(pd.DataFrame(rows, columns=["kind", "job", "seconds"]))
    clock, told, under_way = 0.0, [], {}
    for kind in kinds:
        waiting = [(label, seconds * wrong_by) for its, label, seconds in rows if its == kind]
        while waiting or under_way:
            while waiting and len(under_way) < n_workers:
                label, seconds = waiting.pop(0)
                under_way[label] = (clock, seconds)
            gone = {label: clock - began for label, (began, _) in under_way.items()}
            told.append((clock, left.seconds(gone, n_workers)))
            clock += max(1, wrong_by)
            for label, (began, seconds) in list(under_way.items()):
                if clock - began >= seconds:
                    left.finished(label, clock - began)
                    del under_way[label]
    return [*told, (clock, left.seconds({}, n_workers))]


@pytest.mark.parametrize("wrong_by", [0.3, 1.0, 3.0])
def test_time_left_comes_to_the_truth_without_jumps(wrong_by):
    told = simulated(wrong_by)
    end, at_the_end = told[-1]
    assert at_the_end == 0
    assert 0.8 / wrong_by < told[0][1] / end < 1.25 / wrong_by  # as forecast
    for gone, left in told:
        if gone > end / 2:
            assert 0.7 * end < gone + left < 1.4 * end
    for (gone, left), (later, then) in pairwise(told):
        assert later + then < 1.4 * (gone + left)
        assert later + then > 0.7 * (gone + left)


def test_what_was_not_done_says_nothing_about_time():
    table = pd.DataFrame({"kind": "train", "job": list("abc"), "seconds": [10.0, 10.0, 10.0]})
    left = TimeLeft(table)
    assert left.seconds({}, 1) == pytest.approx(30)
    left.finished("a")
    assert left.seconds({}, 1) == pytest.approx(20)
    left.finished("b", 20)
    assert left.seconds({}, 1) > 10
