"""``multiscale data`` on the command line: list, prepare, check and describe data sets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

import typer

from multiscale.config import AudioError, DatasetSettings, ParameterError, validated

app = typer.Typer(no_args_is_help=True, help="List, prepare, check and describe data sets.")

Name = Annotated[str, typer.Argument(help="of the data set, as listed")]
Place = Annotated[
    str | None,
    typer.Option("--path", "--from", help="your table or folder; a copy of magnatagatune"),
]
Clips = Annotated[int | None, typer.Option(help="how many to use; default: all there are")]
Seconds = Annotated[float, typer.Option(help="length of a clip")]
Synonyms = Annotated[bool, typer.Option("--merge-synonyms", help="of magnatagatune's tags")]
Seed = Annotated[int, typer.Option(help="of arrangement, sampling and splits")]


class SplitBy(StrEnum):
    """What never crosses splits."""

    file = "file"
    artist = "artist"


Splits = Annotated[SplitBy, typer.Option(help="what never crosses splits, of a folder")]


@app.command("list")
def list_() -> None:
    """Name the data sets."""
    from multiscale import datasets

    for name, module in datasets.MODULES.items():
        typer.echo(f"{name:14} {(module.__doc__ or '').splitlines()[0]}")


@app.command()
def prepare(
    name: Name,
    path: Place = None,
    clips: Clips = None,
    seconds: Seconds = 29.0,
    split_by: Splits = SplitBy.file,
    merge_synonyms: Synonyms = False,
    seed: Seed = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="processes; default: cores")] = None,
) -> None:
    """Fetch or render what is not there yet; goes on where it was stopped."""
    from multiscale import datasets

    with _one_line():
        settings = _settings(name, path, clips, seconds, split_by, merge_synonyms, seed)
        dataset = datasets.prepare(settings, workers)
    typer.echo(f"{name}: {len(dataset)} clips, {len(dataset.skipped)} files skipped")
    for row in dataset.skipped.itertuples():
        typer.echo(f"  {row.path}: {row.reason}")


@app.command()
def check(
    name: Name,
    path: Place = None,
    clips: Clips = None,
    seconds: Seconds = 29.0,
    split_by: Splits = SplitBy.file,
    merge_synonyms: Synonyms = False,
    seed: Seed = 0,
) -> None:
    """Say what is wrong with the clips, or not as published."""
    from multiscale import datasets

    with _one_line():
        settings = _settings(name, path, clips, seconds, split_by, merge_synonyms, seed)
        faults = datasets.check(settings)
    typer.echo("\n".join(faults) if faults else f"{name}: nothing is wrong")
    raise typer.Exit(1 if faults else 0)


@app.command()
def describe(
    name: Name,
    path: Place = None,
    clips: Clips = None,
    seconds: Seconds = 29.0,
    split_by: Splits = SplitBy.file,
    merge_synonyms: Synonyms = False,
    seed: Seed = 0,
) -> None:
    """Tell sizes, artists, tags, levels and skipped files."""
    from multiscale import datasets
    from multiscale.datasets import describing

    with _one_line():
        settings = _settings(name, path, clips, seconds, split_by, merge_synonyms, seed)
        typer.echo(describing.summary(datasets.load(settings)))


def _settings(
    name: str,
    path: str | None,
    clips: int | None,
    seconds: float,
    split_by: str,
    merge_synonyms: bool,
    seed: int,
) -> DatasetSettings:
    values = {
        "name": name,
        "path": path and os.path.abspath(path),
        "n_clips": clips,
        "clip_seconds": seconds,
        "split_by": str(split_by),
        "merge_synonyms": merge_synonyms,
        "seed": seed,
    }
    return validated(DatasetSettings, values, where="data")


@contextmanager
def _one_line() -> Iterator[None]:
    """Say in a line what is wrong, and end."""
    from multiscale.datasets.downloading import DownloadError

    try:
        yield
    except (ParameterError, AudioError, DownloadError, OSError) as error:
        typer.echo(" ".join(str(error).split()), err=True)
        raise typer.Exit(2) from None
