"""What a GPU makes of the work of the profile paper: K-means, features, many runs.

Where there is none it says so and leaves no row. The limit is a large product on the same device.
"""

from __future__ import annotations

import numpy as np
from timing import compare, report

from multiscale.config import PAPERS, ParameterError, TrainingSettings, select_device
from multiscale.descent import Hyperparameters
from multiscale.features import MultiscaleFeatures
from multiscale.kmeans import SphericalKMeans
from multiscale.study.profiles import load_profile
from multiscale.tagging import TAGGING
from multiscale.training import fit_runs


def means(device: str, tiny: bool) -> None:
    learning = load_profile("smoke" if tiny else "paper").learning
    n_values, n_means = (20, 30) if tiny else (118, 1000)
    shape = (learning.n_windows, n_values)
    samples = np.random.default_rng(0).standard_normal(shape, np.float32)
    model = SphericalKMeans(n_means, n_iter=learning.n_iter, random_state=0, device=device)
    compare(
        f"K-means: {shape[0]} x {n_values}, {n_means} means, {learning.n_iter} passes",
        {"ours": lambda: model.fit(samples)},
        repeats=1 if tiny else 3,
        device=device,
        flop=2 * 2.0 * samples.size * n_means * learning.n_iter,  # to assign, and to add up
    )


def features(device: str, tiny: bool) -> None:
    n_clips, n_means, seconds = (12, 20, 9) if tiny else (256, 1000, 29)
    shape = (n_clips, seconds * PAPERS.sample_rate)
    clips = np.random.default_rng(0).standard_normal(shape, np.float32)
    sizes = {"n_windows": 2000, "n_iter": 1, "device": device}
    fitted = MultiscaleFeatures(dictionary=n_means, **sizes).fit(clips)
    ways = {"ours": lambda: fitted.transform(clips)}
    title = f"features: {n_clips} clips, {n_means} means"
    compare(title, ways, repeats=1 if tiny else 3, device=device)


def runs(device: str, tiny: bool) -> None:
    n_clips, n_features, n_hidden = (60, 12, 8) if tiny else (4000, 6000, 1000)
    n_runs, n_epochs, n_pools, n_tags = 10, 2, 7, 50
    rng = np.random.default_rng(0)
    clips = rng.standard_normal((n_clips, n_pools, n_features), np.float32)
    tags = rng.random((n_clips, n_tags)) < 0.1
    settings = TrainingSettings(max_epochs=n_epochs, patience=n_epochs, n_hidden=n_hidden)
    rates = [Hyperparameters(0.01, 0.1)] * n_runs
    train, valid = (clips, tags), (clips[:50], tags[:50])
    # Forwards and back to the weights; from the output, back to the hidden units, too.
    products = n_hidden * (2 * n_features + 3 * n_tags)
    compare(
        f"training {n_runs} runs: {n_clips * n_pools} x {n_features}, {n_hidden} hidden units",
        {"ours": lambda: fit_runs(TAGGING, train, valid, rates, settings, device=device)},
        repeats=1 if tiny else 3,
        device=device,
        flop=2.0 * n_runs * n_epochs * n_clips * n_pools * products,
    )


def main(tiny: bool, device: str) -> None:
    try:
        select_device(device)
    except ParameterError as error:
        print(f"nothing measured: {error}")
        return
    for measure in (means, features, runs):
        measure(device, tiny)


if __name__ == "__main__":
    report(main, device="cuda")
