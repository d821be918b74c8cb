"""What has been computed, as tidy tables: one row per run, or per run and tag.

Beside the scores of the paper stand average precision for tags, and retrieval precision for
similarity, whose scores are also told apart by whether an artist was seen in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from multiscale.config import APPROACHES, DICTIONARIES, ParameterError
from multiscale.datasets import ClipDataset
from multiscale.similarity import artist_numbers, clip_probabilities
from multiscale.study.design import Architecture, Experiment, in_words, single_levels
from multiscale.tagging import tag_auc, tag_average_precision

if TYPE_CHECKING:
    from multiscale.study.study import Result, Study

IDENTIFYING = ("task", "representation", "window_length", "dictionary", "level", "change", "draw")
"""Columns of a table of results that tell experiments apart."""

SCORES = (
    "test",
    "average_precision",
    "test_seen",
    "test_unseen",
    "precision_at_10",
    "precision_at_10_seen",
    "precision_at_10_unseen",
)
"""Columns of scores on the test set; those of the other task are NaN. ``test`` is the paper's."""

N_NEIGHBOURS = 10
"""Clips that retrieval precision looks at."""


def results_table(study: Study, experiments: Sequence[Experiment]) -> pd.DataFrame:
    """One row per run of the experiments that have been computed; none for one that is missing.

    Columns :data:`IDENTIFYING` (level is "all" or a number, change from our choices in words), run,
    learning_rate, weight_decay, valid (score), :data:`SCORES`, epochs, seconds (of search and runs
    together).
    """
    rows = []
    for experiment, result in _found(study, experiments):
        common = _columns(experiment) | {"seconds": result.seconds}
        for run, scores in enumerate(_SCORED[experiment.task](result, study.music)):
            of_run = {"run": run, "valid": result.valid_scores[run], "epochs": result.epochs[run]}
            of_run |= {"test": result.scores[run], **asdict(result.best[run])}
            rows.append(common | of_run | scores)
    columns = [*IDENTIFYING, "run", "learning_rate", "weight_decay", "valid", *SCORES]
    return pd.DataFrame(rows, columns=[*columns, "epochs", "seconds"])


def tag_table(study: Study, experiments: Sequence[Experiment]) -> pd.DataFrame:
    """One row per run and tag: :data:`IDENTIFYING`, run, tag, auc and average_precision."""
    test = study.music.split("test")
    names = ("tag", "auc", "average_precision")
    rows = []
    for experiment, result in _found(study, [e for e in experiments if e.task == "tagging"]):
        scores = (score(test.tags, result.outputs) for score in (tag_auc, tag_average_precision))
        for run, of_run in enumerate(zip(*scores, strict=True)):
            for values in zip(test.tag_names, *of_run, strict=True):
                row = dict(zip(names, values, strict=True))
                rows.append(_columns(experiment) | {"run": run} | row)
    return pd.DataFrame(rows, columns=[*IDENTIFYING, "run", *names])


def by_level(study: Study, architecture: Architecture) -> pd.DataFrame:
    """AUC of every tag from all levels together and from each alone, mean over runs (Fig. 6).

    Columns "all", "0", "1", ...; NaN where nothing has been computed. Without tags that all test
    clips carry, or none. A ParameterError if no level has been computed.
    """
    levels = single_levels(architecture)
    whole = Experiment(task="tagging", architecture=architecture)
    table = tag_table(study, [whole, *levels])
    if (table["level"] == "all").all():
        raise ParameterError(
            f"results: expected a level of {architecture} in the store, got none; "
            "`multiscale run` computes them"
        )
    columns = pd.Index(["all", *(str(e.level) for e in levels)], name="level")
    return table.pivot_table("auc", "tag", "level").reindex(columns=columns)


def by_architecture(
    table: pd.DataFrame, score: str = "test", of_runs: str = "mean"
) -> pd.DataFrame:
    """A score by multiscale approach and dictionary.

    Parameters
    ----------
    table : DataFrame
        From :func:`results_table`, of one task.
    score : str, default="test"
        One of :data:`SCORES`.
    of_runs : {"mean", "std"}, default="mean"
        What is taken over the runs.

    Returns
    -------
    DataFrame of shape (7, 4)
        Index (representation, window_length), columns the dictionaries as words; NaN where
        nothing has been computed.

    Raises
    ------
    ParameterError
        If there are not two architectures to compare.
    """
    approach = ["representation", "window_length"]
    n_known = len(table[[*approach, "dictionary"]].drop_duplicates())
    if n_known < 2:
        raise ParameterError(
            f"results: expected 2 architectures or more in the store to compare, got {n_known}; "
            "`multiscale run` computes them"
        )
    found = table.pivot_table(score, approach, "dictionary", aggfunc=of_runs, sort=False)
    return found.reindex(
        index=pd.MultiIndex.from_tuples(APPROACHES, names=approach),
        columns=pd.Index([str(dictionary) for dictionary in DICTIONARIES], name="dictionary"),
    )


def experiment(task: str, representation: str, window_length: int, dictionary: str) -> Experiment:
    """The experiment that a place of :func:`by_architecture` is about."""
    architecture = Architecture(
        representation=representation,
        window_length=window_length,
        dictionary=dictionary if dictionary == "pca" else int(dictionary),
    )
    return Experiment(task=task, architecture=architecture)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over the runs of every experiment of a table.

    One row per experiment, in the order of the table: :data:`IDENTIFYING`, runs, mean and
    deviation of ``test``, and the means of the other scores.
    """
    groups = table.groupby(list(IDENTIFYING), sort=False, dropna=False)
    test = groups["test"].agg(runs="size", mean="mean", deviation="std")
    return test.join(groups[list(SCORES[1:])].mean()).reset_index()


def source_words(dataset: ClipDataset) -> str:
    """The data that results are from, in words for a figure."""
    words = f"data: {dataset.name}, {len(dataset):,} clips"
    return words if dataset.name == "magnatagatune" else f"{words}; the paper: MagnaTagATune"


def clip_precision(embedded: np.ndarray, artists: np.ndarray, n: int = N_NEIGHBOURS) -> np.ndarray:
    """Share of every clip's ``n`` nearest neighbours that are by its own artist, one run.

    From places (n_clips, n_components) and artists (n_clips,), unknown where None or NaN. An artist
    of k clips cannot exceed (k - 1) / n; where there are fewer clips, all others are looked at.
    """
    labels = artist_numbers(artists)
    search = NearestNeighbors(n_neighbors=min(n, len(labels) - 1)).fit(embedded)
    nearest = search.kneighbors(return_distance=False)  # of its own clips: each leaves itself out
    return (labels[nearest] == labels[:, None]).mean(axis=1)


def _tag_scores(result: Result, dataset: ClipDataset) -> Iterator[dict[str, float]]:
    """Of every run, what stands beside the score of the paper."""
    for precision in tag_average_precision(dataset.split("test").tags, result.outputs):
        yield {"average_precision": _mean(precision)}


def _similarity_scores(result: Result, dataset: ClipDataset) -> Iterator[dict[str, float]]:
    test, train = dataset.split("test"), dataset.split("train")
    seen = test.clips["artist"].isin(train.clips["artist"].dropna()).to_numpy()
    for embedded in result.outputs:
        right = clip_probabilities(embedded, test.artists)  # NaN where the artist has no other clip
        precision = np.where(np.isnan(right), np.nan, clip_precision(embedded, test.artists))
        yield {
            "test_seen": _mean(right[seen]),
            "test_unseen": _mean(right[~seen]),
            "precision_at_10": _mean(precision),
            "precision_at_10_seen": _mean(precision[seen]),
            "precision_at_10_unseen": _mean(precision[~seen]),
        }


_SCORED = {"tagging": _tag_scores, "similarity": _similarity_scores}


def _mean(values: np.ndarray) -> float:
    """Mean of what is known; NaN, without a warning, where nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _found(study: Study, experiments: Sequence[Experiment]) -> Iterator[tuple[Experiment, Result]]:
    """Those that have a result, and it."""
    for experiment in experiments:
        if (result := study.result(experiment)) is not None:
            yield experiment, result


def _columns(experiment: Experiment) -> dict:
    """What tells an experiment from others: :data:`IDENTIFYING`."""
    a = experiment.architecture
    changes = (a.model_copy(update={"draw": 0}).changes, in_words(experiment.training))
    return {
        "task": experiment.task,
        "representation": a.representation,
        "window_length": a.window_length,
        "dictionary": str(a.dictionary),
        "level": "all" if experiment.level is None else str(experiment.level),
        "change": ", ".join(filter(None, changes)),
        "draw": a.draw,
    }
