"""Our NCA and scikit-learn's, each until it has the other's score on clips not trained on.

Made-up artists, about as hard to tell apart as the bands of the book, by features whose variance
falls off as theirs does. scikit-learn's begins where it would by itself, or where ours does.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.preprocessing import StandardScaler
from timing import compare, limited, report

from multiscale.config import TrainingSettings
from multiscale.descent import Hyperparameters
from multiscale.similarity import N_COMPONENTS, NCA, SIMILARITY, nca_score
from multiscale.training import fit_runs

N_ARTISTS, SPREAD = 40, 2.0


def artists(n_clips: int, n_features: int) -> list[np.ndarray]:
    """Features of clips to train on and of others to test with, and their artists, in turns."""
    rng = np.random.default_rng(0)
    n_factors = n_features // 2
    strength = (1 + (30 * np.arange(n_factors) / n_factors) ** 2) ** -0.5
    mixing = rng.standard_normal((n_factors, n_features)) * strength[:, None]
    centres = rng.standard_normal((N_ARTISTS, n_factors))
    found = []
    for count in (n_clips, n_clips // 3):
        who = np.arange(count) % N_ARTISTS
        factors = centres[who] + SPREAD * rng.standard_normal((count, n_factors))
        found += [(factors @ mixing).astype(np.float32), who.astype(str)]
    return found


def until(scores: np.ndarray, target: float, way: Callable[[int], object]) -> Callable | str:
    """A way to go as far as a score, after a step each; or words that it is not reached."""
    steps = np.flatnonzero(scores >= target)
    if len(steps) == 0:
        return f"not reached: {scores.max():.3f} at best, in {len(scores)} steps"
    return lambda: way(int(steps[0]) + 1)


def main(tiny: bool) -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    n_clips, n_features, n_epochs, n_iter = (240, 60, 3, 2) if tiny else (600, 1200, 100, 200)
    x, y, x_test, y_test = artists(n_clips, n_features)
    scaler = StandardScaler().fit(x)  # ours has its own
    scaled, scaled_test = scaler.transform(x), scaler.transform(x_test)

    def ours(n: int) -> np.ndarray:
        """Test scores after so many epochs, or fewer."""
        train, test = (x[:, None], y), (x_test[:, None], y_test)
        usual = [Hyperparameters(NCA.learning_rate, NCA.weight_decay)]
        settings = TrainingSettings(max_epochs=n, patience=n)
        return fit_runs(SIMILARITY, train, test, usual, settings).runs.history[:, 0]

    def peer(start: str | np.ndarray, n: int) -> list[np.ndarray]:
        """Projections after so many iterations, or fewer."""
        seen: list[np.ndarray] = []
        options = {"max_iter": n, "random_state": 0, "callback": lambda w, _: seen.append(w)}
        NeighborhoodComponentsAnalysis(N_COMPONENTS, init=start, **options).fit(scaled, y)
        return [weights.reshape(N_COMPONENTS, -1) for weights in seen]

    first = SIMILARITY.initial(torch.as_tensor(scaled), None, 1, TrainingSettings(), 0)
    ours_first = first["projection"][0].T.numpy()
    starts = {"scikit-learn": "auto", "scikit-learn, from our start": ours_first}
    ways = {"ours": ours} | {name: partial(peer, start) for name, start in starts.items()}
    with limited(1):
        scores = {"ours": ours(n_epochs)}
        for name, start in starts.items():
            places = [scaled_test @ projection.T for projection in peer(start, n_iter)]
            scores[name] = np.array([nca_score(y_test, some[None])[0] for some in places])
    best = {name: found.max() for name, found in scores.items()}
    theirs = max(best[name] for name in starts)
    for whose, target in (("scikit-learn's best", theirs), ("ours", best["ours"])):
        compare(
            f"NCA, {n_clips} x {n_features} to {N_COMPONENTS}: to a score of {target:.3f}, {whose}",
            {name: until(scores[name], target, way) for name, way in ways.items()},
            repeats=1 if tiny else 5,
        )


if __name__ == "__main__":
    report(main)
