"""The cost of a profile, from its shapes."""

from __future__ import annotations

import made_up
import pytest

from multiscale import cells, grid, plan
from multiscale.config import SCALES
from multiscale.plan import Calibration

SLOW = Calibration(flops=1e9, seconds=dict.fromkeys(SCALES, 1.0))


@pytest.fixture(autouse=True)
def _home(home):
    """Every test starts with an empty store."""


def test_every_cell_has_a_cost():
    work = cells.of(made_up.PROFILE, grid.everything())
    table = plan.costs(work, SLOW)
    assert list(table["cell"]) == [cell.name for cell in work]
    figures = table.loc[table["kind"] != "data", ["flop", "disk", "memory", "seconds"]]
    assert (figures > 0).all(axis=None)


def test_training_counts_its_products():
    """Six products of two operations a step: forwards and backwards of one matrix take two."""
    experiment = grid.architectures_on(["tagging"])[1]  # 200 means
    table = plan.costs(cells.of(made_up.PROFILE, [experiment]), SLOW)
    row = table[table["kind"] == "train"].iloc[0]
    settings = made_up.SIZES
    n_pools = (1 + 5 * 16_000 // 512) // 128
    examples, epochs = 0.7 * 30 * n_pools, plan.EPOCHS * settings.max_epochs
    runs = settings.n_trials + settings.n_runs
    assert row["flop"] == pytest.approx(4 * examples * 1200 * settings.n_hidden * epochs * runs)
    assert row["seconds"] == pytest.approx(row["flop"] / 1e9)


def test_more_workers_take_less_time_down_to_the_longest_cell():
    table = plan.costs(cells.of(made_up.PROFILE, grid.architectures_on()), SLOW)
    times = [plan.wall_seconds(table, count) for count in (1, 2, 1000)]
    assert times[0] == pytest.approx(table["seconds"].sum())
    assert times[0] > times[1] > times[2]
    assert times[2] == pytest.approx(table.groupby("kind")["seconds"].max().sum())


def test_this_machine_can_be_measured():
    calibration = plan.calibrate(clip_seconds=5)
    assert calibration.flops > 1e6
    assert calibration.seconds["multiresolution"] > calibration.seconds["gaussian"] > 0
