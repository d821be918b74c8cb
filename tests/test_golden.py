"""A few end-to-end scores on made-up music, so that a silent drift is seen.

The properties that other tests assert hold for many methods. These numbers hold for ours: a sampler
that draws otherwise, a new torch that initialises otherwise, or a formula that changed moves them
by more than other processors do. Where a change is meant, ``MULTISCALE_GOLDEN=print`` prints the
new ones.
"""

from __future__ import annotations

import json
import os

import made_up
import numpy as np
import pytest

from multiscale.config import TrainingSettings
from multiscale.study import Architecture, Experiment, Study
from multiscale.study.design import TASKS

SIZES = TrainingSettings(n_trials=2, n_runs=2, max_epochs=25, patience=8, n_hidden=20)

GOLDEN = {
    "multiresolution": {"mean": 0.2837, "spread": 0.7676, "tagging": 0.8679, "similarity": 0.5286},
    "gaussian": {"mean": 0.2466, "spread": 0.8072, "tagging": 0.93, "similarity": 0.6221},
    "laplacian": {"mean": 1.0225, "spread": 0.8658, "tagging": 0.925, "similarity": 0.4167},
}
"""Approach -> mean and spread of the features, scores of tagging and similarity, all on test."""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of 90 clips, hard enough that no score is perfect."""
    profile = made_up.profile(
        tmp_path_factory.mktemp("golden"),
        dataset=made_up.folder(tmp_path_factory.mktemp("golden-music"), n_clips=90, seed=1),
        tagging=SIZES,
        similarity=SIZES.model_copy(update={"max_epochs": 8}),
    )
    return Study(profile)


def measured(study: Study, name: str, window_length: int) -> dict[str, float]:
    architecture = Architecture(
        representation=name,
        window_length=window_length,
        dictionary=12,
        n_levels=3,
        pooling_length=32,
    )
    features = study.features(architecture)["test"]
    found = {"mean": float(features.mean()), "spread": float(features.std())}
    for task in TASKS:
        result = study.run(Experiment(task=task, architecture=architecture))
        found[task] = float(result.scores.mean())
    return found


@pytest.mark.parametrize(
    ("name", "window_length"), [("multiresolution", 1), ("gaussian", 2), ("laplacian", 4)]
)
def test_scores_have_not_drifted(study, name, window_length):
    found = measured(study, name, window_length)
    if os.environ.get("MULTISCALE_GOLDEN") == "print":
        print(json.dumps({name: {key: round(value, 4) for key, value in found.items()}}))
    for key, value in GOLDEN[name].items():
        np.testing.assert_allclose(found[key], value, rtol=0.01, err_msg=f"{name}, {key}")
