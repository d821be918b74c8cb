"""What the grid saves by doing work once: runs side by side, dictionaries in one pass.

The peer of training is scikit-learn's MLPClassifier, with the same network, batches and number of
epochs, once for each run. The peer of learning is one pass over the audio for each dictionary.

One thread keeps the other work of a machine out of it:
``OMP_NUM_THREADS=1 python benchmarks/bench_grid.py``.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from timing import compare

from multiscale.config import TrainingSettings
from multiscale.features import MultiscaleFeatures, fit_many, transform_many
from multiscale.tagging import TAGGING
from multiscale.training import BATCH_SIZE, MOMENTUM, Hyperparameters, fit_runs

N_RUNS, N_EPOCHS, N_HIDDEN = 4, 3, 200


def training(n_features: int) -> None:
    rng = np.random.default_rng(0)
    clips, tags = rng.standard_normal((300, 7, n_features), np.float32), rng.random((300, 50)) < 0.1
    valid, valid_tags = clips[:50], rng.random((50, 50)) < 0.1
    windows, targets = clips.reshape(-1, n_features), np.repeat(tags, 7, axis=0)
    settings = TrainingSettings(max_epochs=N_EPOCHS, patience=N_EPOCHS, n_hidden=N_HIDDEN)
    rates = [Hyperparameters(0.01, 1e-4)]

    def ours(n_runs: int) -> None:
        fit_runs(TAGGING, (clips, tags), (valid, valid_tags), rates * n_runs, settings)

    def peer() -> None:
        MLPClassifier(
            N_HIDDEN,
            solver="sgd",
            alpha=1e-4,
            batch_size=BATCH_SIZE,
            learning_rate_init=0.01,
            momentum=MOMENTUM,
            nesterovs_momentum=False,
            max_iter=N_EPOCHS,
        ).fit(windows, targets)

    ways = {
        f"{N_RUNS} runs side by side (ours)": lambda: ours(N_RUNS),
        f"{N_RUNS} runs, one by one": lambda: [ours(1) for _ in range(N_RUNS)],
        f"MLPClassifier, {N_RUNS} times": lambda: [peer() for _ in range(N_RUNS)],
    }
    compare(f"training: {len(windows)} windows, {n_features} features", ways, repeats=3)


def learning() -> None:
    rng = np.random.default_rng(0)
    clips = rng.standard_normal((12, 16_000 * 29), np.float32)
    sizes = ("pca", 50, 100, 200)

    def learners() -> list[MultiscaleFeatures]:
        return [MultiscaleFeatures(dictionary=size, n_windows=2000, n_iter=2) for size in sizes]

    def together() -> None:
        made = learners()
        fit_many(made, clips)
        transform_many(made, clips)

    ways = {
        "four dictionaries in one pass (ours)": together,
        "one after the other": lambda: [learner.fit_transform(clips) for learner in learners()],
    }
    compare(f"learning and extracting: {len(clips)} clips of 29 s", ways, repeats=3)


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    for count in (1200, 6000):
        training(count)
    learning()
