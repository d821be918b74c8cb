"""``multiscale`` on the command line: a profile's experiments, and data sets."""

# What takes long to import is imported where it is used, so that --help is quick.

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from multiscale.datasets import DatasetSettings
    from multiscale.study.study import Study


class _OneLine(TyperGroup):
    """Commands that say in a line what is wrong, and end when told to."""

    def invoke(self, ctx):
        """Run a command."""
        from multiscale.commands import command

        with command():
            return super().invoke(ctx)


app = typer.Typer(cls=_OneLine, no_args_is_help=True, add_completion=False, help=__doc__)
data = typer.Typer(no_args_is_help=True, help="List, prepare, check and describe data sets.")
app.add_typer(data, name="data")


Profile = Annotated[str, typer.Option(help="smoke, laptop, paper, or a .yaml file")]
OneTask = Annotated[
    Literal["tagging", "similarity"] | None,
    typer.Option("--task", help="only this task; of the grid, in run"),
]
Format = Annotated[Literal["table", "csv", "json"], typer.Option(help="how to print")]
Seed = Annotated[int, typer.Option(min=0, help="of dictionaries, search and runs")]
Workers = Annotated[int | None, typer.Option(min=0, help="processes; 0: this one; default: cores")]
Elsewhere = Annotated[
    str | None,
    typer.Option(
        help="to learn dictionaries on: a data set, a profile (.yaml), a table or folder of audio"
    ),
]


@app.command()
def run(
    profile: Profile = "laptop",
    task: OneTask = None,
    scheduler: Annotated[
        str | None, typer.Option(help="of a Dask cluster: tcp://host:port")
    ] = None,
    workers: Workers = None,
    dictionary_from: Elsewhere = None,
    seed: Seed = 0,
) -> None:
    """Compute what is missing of a profile's experiments."""
    from multiscale.study import design

    wanted = design.grid([task]) if task else None
    failed = _study(profile, dictionary_from, seed).compute(wanted, scheduler, workers)
    for label, message in failed.items():
        typer.echo(f"failed: {label}: {message}", err=True)
    raise typer.Exit(1 if failed else 0)


@app.command()
def status(
    profile: Profile = "laptop",
    why: Annotated[
        bool, typer.Option("--why", help="also why experiments have no result yet")
    ] = False,
    dictionary_from: Elsewhere = None,
    seed: Seed = 0,
) -> None:
    """Tell what is done, running, failed and missing."""
    from multiscale.study import design, jobs, store

    study = _study(profile, dictionary_from, seed)
    # With both tasks, so that the data set need not be prepared.
    experiments = study.experiments(design.TASKS)
    work = [job for job in jobs.jobs(study, experiments) if job.outputs]
    states = [job.state for job in work]
    for state in ("done", "running", "failed", "missing"):
        typer.echo(f"{state:8} {states.count(state)} of {len(work)}")
        members = [job for job, its in zip(work, states, strict=True) if its == state]
        for job in members if state in ("running", "failed") else ():
            failure = job.failure
            typer.echo(f"  {job.label}" + (f": {failure['error']}" if failure else ""))
    if others := store.other_versions(study.result_files(e)[0] for e in experiments):
        typer.echo(others)
    if why:
        missing = study.missing(experiments)
        reasons = Counter(store.why_stale(study.result_files(e)[0]) for e in missing)
        for reason, count in reasons.most_common():
            typer.echo(f"{count} experiment{'s' * (count > 1)}: {reason}")


@app.command()
def results(
    profile: Profile = "laptop",
    task: OneTask = None,
    tags: Annotated[bool, typer.Option("--tags", help="every tag instead of their mean")] = False,
    format: Format = "table",
    dictionary_from: Elsewhere = None,
    seed: Seed = 0,
) -> None:
    """Print the runs that have been computed."""
    study = _study(profile, dictionary_from, seed)
    wanted = [e for e in study.experiments() if task is None or e.task == task]
    _print(study.tag_table(wanted) if tags else study.table(wanted), format)


@app.command()
def plan(
    profile: Profile = "laptop",
    workers: Annotated[int, typer.Option(min=1, help="also the time on so many workers")] = 8,
) -> None:
    """Tell what a profile will cost, before anything runs."""
    from multiscale.study import design, forecast, jobs

    study = _study(profile)
    work = jobs.jobs(study, design.everything())
    flops = forecast.speed()
    table = forecast.costs(study, work, flops)
    left = {job.label for job in jobs.needed(work)}
    typer.echo(f"one thread here: {flops / 1e9:.0f} GFLOP/s in matrix products")
    by_kind = table.groupby("kind", sort=False)
    summary = by_kind.agg(
        jobs=("job", "size"),
        TFLOP=("flop", "sum"),
        disk_GB=("disk", "sum"),
        memory_GB=("memory", "max"),
        core_minutes=("seconds", "sum"),
    )
    summary /= [1, 1e12, 1e9, 1e9, 60]
    typer.echo(summary.round(2).to_string())
    for count in (os.cpu_count() or 1, workers):
        minutes = forecast.wall_seconds(table, count) / 60
        remaining = forecast.wall_seconds(table[table["job"].isin(left)], count) / 60
        typer.echo(f"on {count} workers: {minutes:.0f} min in all, {remaining:.0f} min still to do")


@app.command()
def claims(
    profile: Profile = "laptop",
    format: Format = "table",
    dictionary_from: Elsewhere = None,
    seed: Seed = 0,
) -> None:
    """Print the ledger: which of the paper's sentences hold on this profile."""
    _print(_study(profile, dictionary_from, seed).ledger().reset_index(), format)


@data.command("list")
def list_() -> None:
    """Name the data sets."""
    from multiscale import datasets

    for name in datasets.NAMES:
        typer.echo(f"{name:14} {(datasets.module(name).__doc__ or '').splitlines()[0]}")


def _on_data_set(act: Callable[[DatasetSettings, int | None], None]) -> None:
    """Make a command of what is done to a data set: the options are the same for all."""

    def command(
        name: Annotated[str, typer.Argument(help="of the data set, as listed")],
        path: Annotated[
            str | None,
            typer.Option("--path", "--from", help="your table or folder; a copy of magnatagatune"),
        ] = None,
        clips: Annotated[int | None, typer.Option(help="how many; default: all there are")] = None,
        seconds: Annotated[float, typer.Option(help="length of a clip")] = 29.0,
        split_by: Annotated[
            Literal["file", "artist"], typer.Option(help="what never crosses splits, of a folder")
        ] = "file",
        merge_synonyms: Annotated[
            bool, typer.Option("--merge-synonyms", help="of magnatagatune's tags")
        ] = False,
        seed: Annotated[int, typer.Option(help="of arrangement, sampling and splits")] = 0,
        workers: Workers = None,
    ) -> None:
        from multiscale.datasets import DatasetSettings

        settings = DatasetSettings(
            name=name,
            path=path and os.path.abspath(path),
            n_clips=clips,
            clip_seconds=seconds,
            split_by=split_by,
            merge_synonyms=merge_synonyms,
            seed=seed,
        )
        act(settings, 1 if workers == 0 else workers)

    data.command(act.__name__, help=act.__doc__)(command)


@_on_data_set
def prepare(settings: DatasetSettings, n_workers: int | None) -> None:
    """Fetch or render what is not there yet; goes on where it was stopped."""
    from multiscale import datasets

    dataset = datasets.load(settings, n_workers)
    typer.echo(f"{settings.name}: {len(dataset)} clips, {len(dataset.skipped)} files skipped")
    for row in dataset.skipped.itertuples():
        typer.echo(f"  {row.path}: {row.reason}")


@_on_data_set
def check(settings: DatasetSettings, n_workers: int | None) -> None:
    """Say what is wrong with the clips, or not as published."""
    from multiscale import datasets

    datasets.load(settings, n_workers)
    faults = datasets.check(settings)
    typer.echo("\n".join(faults) if faults else f"{settings.name}: nothing is wrong")
    raise typer.Exit(1 if faults else 0)


@_on_data_set
def describe(settings: DatasetSettings, n_workers: int | None) -> None:
    """Tell sizes, artists, tags, levels and skipped files."""
    from multiscale import datasets
    from multiscale.datasets import describing

    typer.echo(describing.summary(datasets.load(settings, n_workers)))


def _study(profile: str, dictionary_from: str | None = None, seed: int = 0) -> Study:
    from multiscale.study import Study
    from multiscale.study.profiles import borrowing, load_profile

    chosen = load_profile(profile)
    return Study(borrowing(chosen, dictionary_from) if dictionary_from else chosen, seed)


def _print(table, format: Format) -> None:
    if format == "csv":
        table.to_csv(sys.stdout, index=False)
    elif format == "json":
        typer.echo(table.to_json(orient="records", indent=1))
    else:
        typer.echo(table.to_string(index=False, float_format="{:.4f}".format))
