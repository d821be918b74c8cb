"""What has been computed, as tidy tables: one row per run, or per run and tag.

Beside the scores of the paper stand average precision for tags, and retrieval precision for
similarity, whose scores are also told apart by whether an artist was met in training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from multiscale import grid, similarity, tagging
from multiscale.architectures import Architecture
from multiscale.config import DICTIONARIES, SCALES, WINDOW_LENGTHS, ParameterError, Profile
from multiscale.datasets import ClipDataset
from multiscale.experiments import Experiment, TaskResult, stored_result

IDENTIFYING = ("task", "scale", "window_length", "dictionary", "level", "change")
"""Columns of a table of results that tell experiments apart."""

SCORES = (
    "test",
    "average_precision",
    "test_met",
    "test_new",
    "precision_at_10",
    "precision_at_10_met",
    "precision_at_10_new",
)
"""Columns of scores on the test set; those of the other task are NaN. ``test`` is the paper's."""


def results_table(
    profile: Profile, wanted: Sequence[Experiment], dataset: ClipDataset, seed: int = 0
) -> pd.DataFrame:
    """One row per run of the experiments that have been computed.

    Parameters
    ----------
    profile : Profile
        Data set and sizes.
    wanted : sequence of Experiment
        Which.
    dataset : ClipDataset
        The profile's data set.
    seed : int, default=0
        Of all randomness.

    Returns
    -------
    DataFrame
        Columns task, scale, window_length, dictionary, level ("all" or a number), change (from
        our choices, in words), run, learning_rate, weight_decay, valid (score), :data:`SCORES`,
        epochs, seconds (of search and runs together). An experiment that is missing has no rows.
    """
    rows = []
    for experiment in wanted:
        result = stored_result(profile, experiment, seed)
        if result is None:
            continue
        common = _columns(experiment) | {
            "learning_rate": result.best.learning_rate,
            "weight_decay": result.best.weight_decay,
            "seconds": result.seconds,
        }
        scored = _SCORED[experiment.task](result, dataset)
        told = zip(result.valid_scores, result.epochs, scored, strict=True)
        for index, (valid, epochs, scores) in enumerate(told):
            rows.append(common | {"run": index, "valid": valid, "epochs": epochs} | scores)
    columns = [*IDENTIFYING, "run", "learning_rate", "weight_decay", "valid", *SCORES]
    return pd.DataFrame(rows, columns=[*columns, "epochs", "seconds"])


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
        Index (scale, window_length), columns the dictionaries as words; NaN where nothing has been
        computed.

    Raises
    ------
    ParameterError
        If there are not two architectures to compare.
    """
    n_known = len(table[["scale", "window_length", "dictionary"]].drop_duplicates())
    if n_known < 2:
        raise ParameterError(
            f"results: expected 2 architectures or more in the store to compare, got {n_known}; "
            "`multiscale run` computes them"
        )
    approaches = [(scale, length) for scale in SCALES for length in WINDOW_LENGTHS[scale]]
    index = pd.MultiIndex.from_tuples(approaches, names=["scale", "window_length"])
    columns = pd.Index([str(dictionary) for dictionary in DICTIONARIES], name="dictionary")
    found = table.pivot_table(
        score, ["scale", "window_length"], "dictionary", aggfunc=of_runs, sort=False
    )
    return found.reindex(index=index, columns=columns)


def words(scale: str, window_length: int, dictionary: str) -> str:
    """Name of an architecture, from the columns of a table."""
    learned = dictionary if dictionary == "pca" else int(dictionary)
    return str(Architecture(scale=scale, window_length=window_length, dictionary=learned))


def source(dataset: ClipDataset) -> str:
    """The data that results are from, in words for a figure."""
    told = f"data: {dataset.name}, {len(dataset):,} clips"
    return told if dataset.name == "magnatagatune" else f"{told}; the paper: MagnaTagATune"


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over the runs of every experiment of a table.

    Parameters
    ----------
    table : DataFrame
        From :func:`results_table`.

    Returns
    -------
    DataFrame
        One row per experiment, in the order of the table: the identifying columns, runs, mean and
        deviation of ``test``, and the means of the other scores.
    """
    groups = table.groupby(list(IDENTIFYING), sort=False, dropna=False)
    told = groups["test"].agg(runs="size", mean="mean", deviation="std")
    return told.join(groups[list(SCORES[1:])].mean()).reset_index()


def missing(profile: Profile, wanted: Sequence[Experiment], seed: int = 0) -> list[Experiment]:
    """Experiments that have no result yet; arguments as :func:`results_table`."""
    return [e for e in wanted if stored_result(profile, e, seed) is None]


def _tag_scores(result: TaskResult, dataset: ClipDataset) -> list[dict[str, float]]:
    tags = dataset.split("test").tags
    return [
        {
            "test": score,
            "average_precision": float(np.nanmean(tagging.tag_average_precision(tags, predicted))),
        }
        for score, predicted in zip(result.scores, result.predictions, strict=True)
    ]


def _similarity_scores(result: TaskResult, dataset: ClipDataset) -> list[dict[str, float]]:
    artists = dataset.split("test").artists
    met = pd.Series(artists).isin(dataset.split("train").clips["artist"].dropna()).to_numpy()
    rows = []
    for score, places in zip(result.scores, result.predictions, strict=True):
        probability = similarity.clip_probability(places, artists)
        precision = similarity.clip_precision(places, artists)
        rows.append(
            {
                "test": score,
                "test_met": _mean(probability[met]),
                "test_new": _mean(probability[~met]),
                "precision_at_10": _mean(precision),
                "precision_at_10_met": _mean(precision[met]),
                "precision_at_10_new": _mean(precision[~met]),
            }
        )
    return rows


def _mean(values: np.ndarray) -> float:
    """Mean of what is known; NaN, without a warning, where nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


_SCORED = {"tagging": _tag_scores, "similarity": _similarity_scores}


def tag_table(
    profile: Profile, wanted: Sequence[Experiment], dataset: ClipDataset, seed: int = 0
) -> pd.DataFrame:
    """AUC and average precision of every tag, one row per run and tag.

    Parameters
    ----------
    profile, wanted, seed
        As :func:`results_table`; similarity experiments are passed over.
    dataset : ClipDataset
        The profile's data set.

    Returns
    -------
    DataFrame
        The first columns of :func:`results_table`, then run, tag, auc and average_precision.
    """
    tags = dataset.split("test").tags
    rows = []
    for experiment in wanted:
        result = stored_result(profile, experiment, seed) if experiment.task == "tagging" else None
        if result is None:
            continue
        for index, predictions in enumerate(result.predictions):
            aucs = tagging.tag_auc(tags, predictions)
            precisions = tagging.tag_average_precision(tags, predictions)
            for tag, auc, precision in zip(dataset.tag_names, aucs, precisions, strict=True):
                row = {"run": index, "tag": tag, "auc": auc, "average_precision": precision}
                rows.append(_columns(experiment) | row)
    names = [*IDENTIFYING, "run", "tag", "auc", "average_precision"]
    return pd.DataFrame(rows, columns=names)


def by_level(
    profile: Profile, architecture: Architecture, dataset: ClipDataset, seed: int = 0
) -> pd.DataFrame:
    """AUC of every tag from all levels together and from each alone, mean over runs (Fig. 6).

    Parameters
    ----------
    profile, dataset, seed
        As :func:`results_table`.
    architecture : Architecture
        Whose levels.

    Returns
    -------
    DataFrame of shape (n_tags, 1 + n_levels)
        Columns "all", "0", "1", ...; NaN where nothing has been computed. Without tags that all
        test clips carry, or none.

    Raises
    ------
    ParameterError
        If no level has been computed.
    """
    levels = grid.single_levels(architecture)
    whole = Experiment(task="tagging", architecture=architecture)
    if len(missing(profile, levels, seed)) == len(levels):
        raise ParameterError(
            f"results: expected a level of {architecture} in the store, got none; "
            "`multiscale run` computes them"
        )
    table = tag_table(profile, [whole, *levels], dataset, seed)
    columns = pd.Index(["all", *(str(e.level) for e in levels)], name="level")
    return table.pivot_table("auc", "tag", "level").reindex(columns=columns)


def _columns(experiment: Experiment) -> dict:
    """What tells an experiment from others, for a table."""
    architecture = experiment.architecture
    usual = Architecture(
        scale=architecture.scale,
        window_length=architecture.window_length,
        dictionary=architecture.dictionary,
    )
    words = [str(architecture).removeprefix(str(usual)).removeprefix(", ")]
    words += [f"{name}={value}" for name, value in experiment.training]
    return {
        "task": experiment.task,
        "scale": architecture.scale,
        "window_length": architecture.window_length,
        "dictionary": str(architecture.dictionary),
        "level": "all" if experiment.level is None else str(experiment.level),
        "change": ", ".join(word for word in words if word),
    }
