"""``multiscale`` on the command line: a profile's experiments, and data sets."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from multiscale import data_cli
from multiscale.config import ParameterError, Profile, load_profile
from multiscale.parameters import borrowing

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
app.add_typer(data_cli.app, name="data")

ProfileName = Annotated[str, typer.Option(help="smoke, laptop, paper, or a .yaml file")]
Seed = Annotated[int, typer.Option(min=0, help="of all randomness")]
Elsewhere = Annotated[
    str | None,
    typer.Option(
        "--dictionary-from", help="data set to learn dictionaries on, or a profile (.yaml) with it"
    ),
]


class Format(StrEnum):
    """How a table is printed."""

    table = "table"
    csv = "csv"
    json = "json"


class Task(StrEnum):
    """The two tasks of the paper."""

    tagging = "tagging"
    similarity = "similarity"


@app.command()
def run(
    profile: ProfileName = "laptop",
    task: Annotated[Task | None, typer.Option(help="only this task of the grid")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="of a Dask cluster: tcp://host:port")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="processes here; 0: this one; default: cores")
    ] = None,
    dictionary_from: Elsewhere = None,
    seed: Seed = 0,
) -> None:
    """Compute what is missing of a profile's experiments."""
    from multiscale import cells, engine, grid

    chosen = _profile(profile, dictionary_from)
    if task is not None:
        work = cells.of(chosen, grid.architectures_on([task]), seed)
        failed = engine.run(work, scheduler, workers)
    else:
        failed = engine.run_all(chosen, seed, scheduler, workers)
    for name, message in failed.items():
        typer.echo(f"failed: {name}: {message}", err=True)
    raise typer.Exit(1 if failed else 0)


@app.command()
def status(
    profile: ProfileName = "laptop", dictionary_from: Elsewhere = None, seed: Seed = 0
) -> None:
    """Tell what is done, running, failed and missing."""
    from multiscale import cells, grid

    chosen = _profile(profile, dictionary_from)
    work = cells.of(chosen, grid.known(chosen, seed), seed)
    work = [cell for cell in work if cell.kind != "data"]
    states: dict[str, list] = {"done": [], "running": [], "failed": [], "missing": []}
    for cell in work:
        states[cell.state].append(cell)
    for state, members in states.items():
        typer.echo(f"{state:8} {len(members)} of {len(work)}")
        if state in ("running", "failed"):
            for cell in members:
                report = cell.failure
                typer.echo(f"  {cell.name}" + (f": {report['error']}" if report else ""))


@app.command()
def results(
    profile: ProfileName = "laptop",
    task: Annotated[Task | None, typer.Option(help="only this task")] = None,
    tags: Annotated[bool, typer.Option("--tags", help="every tag instead of their mean")] = False,
    format: Annotated[Format, typer.Option(help="how to print")] = Format.table,
    dictionary_from: Elsewhere = None,
    seed: Seed = 0,
) -> None:
    """Print the runs that have been computed."""
    from multiscale import datasets, grid
    from multiscale import results as tables

    chosen = _profile(profile, dictionary_from)
    wanted = [e for e in grid.known(chosen, seed) if task is None or e.task == task]
    make = tables.tag_table if tags else tables.results_table
    _print(make(chosen, wanted, datasets.load(chosen.dataset), seed), format)


@app.command()
def plan(
    profile: ProfileName = "laptop",
    workers: Annotated[int, typer.Option(min=1, help="also the time on so many workers")] = 8,
) -> None:
    """Tell what a profile will cost, before anything runs."""
    import os

    from multiscale import cells, grid
    from multiscale import plan as planning

    chosen = _profile(profile)
    work = cells.of(chosen, grid.everything())
    calibration = planning.calibrate(chosen.dataset.clip_seconds)
    table = planning.costs(work, calibration)
    left = {cell.name for cell in cells.needed(work)}
    typer.echo(f"one thread here: {calibration.flops / 1e9:.0f} GFLOP/s in matrix products")
    summary = table.groupby("kind", sort=False).agg(
        cells=("cell", "size"),
        TFLOP=("flop", lambda flop: flop.sum() / 1e12),
        disk_GB=("disk", lambda disk: disk.sum() / 1e9),
        memory_GB=("memory", lambda memory: memory.max() / 1e9),
        core_minutes=("seconds", lambda seconds: seconds.sum() / 60),
    )
    typer.echo(summary.round(2).to_string())
    for count in (os.cpu_count() or 1, workers):
        minutes = planning.wall_seconds(table, count) / 60
        remaining = planning.wall_seconds(table[table["cell"].isin(left)], count) / 60
        typer.echo(f"on {count} workers: {minutes:.0f} min in all, {remaining:.0f} min still to do")


@app.command()
def claims(
    profile: ProfileName = "laptop",
    format: Annotated[Format, typer.Option(help="how to print")] = Format.table,
    dictionary_from: Elsewhere = None,
    seed: Seed = 0,
) -> None:
    """Print the ledger: which of the paper's sentences hold on this profile."""
    from multiscale import claims as rules
    from multiscale import evidence

    known = evidence.gather(_profile(profile, dictionary_from), seed)
    _print(rules.ledger(known).reset_index(), format)


def _profile(name: str, dictionary_from: str | None = None) -> Profile:
    try:
        profile = load_profile(name)
        return borrowing(profile, dictionary_from) if dictionary_from else profile
    except ParameterError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def _print(table, format: Format) -> None:
    if format is Format.csv:
        table.to_csv(sys.stdout, index=False)
    elif format is Format.json:
        typer.echo(table.to_json(orient="records", indent=1))
    else:
        typer.echo(table.to_string(index=False, float_format="{:.4f}".format))
