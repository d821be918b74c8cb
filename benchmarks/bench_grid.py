"""What the grid saves by doing work once: runs side by side, dictionaries in one pass.

The peer of training is scikit-learn's MLPClassifier, with the same network, batches and number of
epochs, once for each run. The peer of learning is one pass over the audio for each dictionary.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from timing import compare, report

from multiscale.config import TrainingSettings
from multiscale.descent import BATCH_SIZE, MOMENTUM, Hyperparameters
from multiscale.features import MultiscaleFeatures, fit_many, transform_many
from multiscale.tagging import TAGGING
from multiscale.training import fit_runs

N_RUNS, N_EPOCHS, N_TAGS, N_POOLS = 10, 2, 50, 7


def training(n_clips: int, n_features: int, n_hidden: int, repeats: int) -> None:
    rng = np.random.default_rng(0)
    clips = rng.standard_normal((n_clips, N_POOLS, n_features), np.float32)
    tags = rng.random((n_clips, N_TAGS)) < 0.1
    valid, valid_tags = clips[:50], tags[:50]
    windows, targets = clips.reshape(-1, n_features), np.repeat(tags, N_POOLS, axis=0)
    settings = TrainingSettings(max_epochs=N_EPOCHS, patience=N_EPOCHS, n_hidden=n_hidden)
    rates = [Hyperparameters(0.01, 1e-4)]

    def ours(n_runs: int) -> None:
        fit_runs(TAGGING, (clips, tags), (valid, valid_tags), rates * n_runs, settings)

    def peer() -> None:
        MLPClassifier(
            n_hidden,
            solver="sgd",
            alpha=1e-4,
            batch_size=BATCH_SIZE,
            learning_rate_init=0.01,
            momentum=MOMENTUM,
            nesterovs_momentum=False,
            max_iter=N_EPOCHS,
        ).fit(windows, targets)

    ways = {
        "ours, side by side": lambda: ours(N_RUNS),
        "ours, one by one": lambda: [ours(1) for _ in range(N_RUNS)],
        "scikit-learn, one by one": lambda: [peer() for _ in range(N_RUNS)],
    }
    # Forwards and back to the weights; from the output, back to the hidden units, too.
    products = n_hidden * (2 * n_features + 3 * N_TAGS)
    compare(
        f"training {N_RUNS} runs: {len(windows)} x {n_features}, {n_hidden} hidden units",
        ways,
        repeats=repeats,
        flop=2.0 * N_RUNS * N_EPOCHS * len(windows) * products,
    )


def learning(n_clips: int, seconds: int, repeats: int) -> None:
    clips = np.random.default_rng(0).standard_normal((n_clips, 16_000 * seconds), np.float32)
    sizes = ("pca", 50, 100, 200)

    def learners() -> list[MultiscaleFeatures]:
        return [MultiscaleFeatures(dictionary=size, n_windows=2000, n_iter=2) for size in sizes]

    def together() -> None:
        made = learners()
        fit_many(made, clips)
        transform_many(made, clips)

    ways = {
        "ours, in one pass": together,
        "ours, one by one": lambda: [learner.fit_transform(clips) for learner in learners()],
    }
    compare(f"four dictionaries and their features: {n_clips} clips", ways, repeats=repeats)


def main(tiny: bool) -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    for n_features in (12,) if tiny else (1200, 6000):
        training(60 if tiny else 300, n_features, 8 if tiny else 200, 1 if tiny else 3)
    learning(12, 29, 1 if tiny else 3)  # shorter clips have too few windows for the dictionaries


if __name__ == "__main__":
    report(main)
