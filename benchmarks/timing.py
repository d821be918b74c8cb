"""Time several ways of doing one thing, in turns, and keep what was found in ``results.csv``.

A script gives :func:`report` a function that calls :func:`compare` and :func:`note`. The first way
is ours; the ratio of another is how many times as fast ours is. Where arithmetic bounds a way, a
large matrix product takes its turn, too, as the machine's limit.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
import torch

from multiscale.progress import hidden
from multiscale.study.forecast import limited

RESULTS = Path(__file__).with_name("results.csv")

COLUMNS = ("benchmark", "way", "threads", "seconds", "ratio", "GFLOP/s", "of the limit", "told")

CHOICES = {"device": ("cpu", "cuda")}
"""Of options; of a profile, any, as it may be a file."""

LIMIT = "matrix products alone"

_found: list[dict] = []


def report(measure: Callable[..., None], **options: str) -> None:
    """Run a script: ``measure(tiny)``, with a device or a profile, too, where it has one.

    ``options`` are their defaults. What it finds takes the place of what it left before with the
    same; at a tiny size nothing is kept.
    """
    parser = argparse.ArgumentParser(description=sys.modules[measure.__module__].__doc__)
    parser.add_argument("--tiny", action="store_true", help="see that it runs; keep nothing")
    for name, default in options.items():
        parser.add_argument(f"--{name}", default=default, choices=CHOICES.get(name))
    given = vars(parser.parse_args())
    _found.clear()
    with hidden():  # bars
        measure(**given)
    if given["tiny"] or not _found:
        return
    script = Path(sys.argv[0]).stem.removeprefix("bench_")
    script = " ".join([script, *(Path(given[name]).stem for name in options if name != "device")])
    used = given.get("device", "cpu")
    rows = pd.DataFrame(_found).reindex(columns=COLUMNS)
    rows = rows.assign(script=script, device=used, machine=machine(used), date=str(date.today()))
    if RESULTS.is_file():
        before = pd.read_csv(RESULTS)
        others = (before["script"] != script) | (before["device"] != used)
        rows = pd.concat([before[others], rows]) if others.any() else rows
    rows = rows.sort_values("script", kind="stable")
    rows.to_csv(RESULTS, index=False, float_format="%.4g", lineterminator="\n")


def compare(
    title: str,
    ways: dict[str, Callable[[], object] | str],
    *,
    repeats: int = 5,
    threads: int = 1,
    flop: float = 0.0,
    device: str = "cpu",
    told: Callable[[object], str] = lambda result: "",
) -> None:
    """Print and keep the median time of every way.

    Words in place of a way say why there is none. ``flop`` are the operations of the matrix
    products in it; ``told`` says what came of it.
    """
    there = {name: way for name, way in ways.items() if callable(way)}
    if flop:
        there[LIMIT] = _product(device)
    times: dict[str, list[float]] = {name: [] for name in there}
    results = {}
    with limited(threads):
        for _ in range(repeats + 1):
            for name, way in there.items():
                start = time.perf_counter()
                results[name] = way()
                times[name].append(time.perf_counter() - start)
    seconds = {name: statistics.median(taken[1:]) for name, taken in times.items()}  # one warms up
    if flop:
        seconds[LIMIT] *= flop / results.pop(LIMIT)
    ours = seconds.get(next(iter(ways)), float("nan"))
    print(f"\n{title}, {threads} thread{'s' * (threads > 1)}")
    for name in [*ways, *([LIMIT] if flop else [])]:
        if name not in seconds:
            note(title, name, threads=threads, told=ways[name])
            continue
        row = {"seconds": seconds[name], "ratio": seconds[name] / ours}
        if flop:
            row["GFLOP/s"] = flop / seconds[name] / 1e9
            row["of the limit"] = seconds[LIMIT] / seconds[name]
        words = told(results[name]) if name in results else ""
        note(title, name, threads=threads, **row, told=words)


def note(benchmark: str, way: str, **values: float | str) -> None:
    """Print and keep a row; ``values`` are of other :data:`COLUMNS`."""
    _found.append({"benchmark": benchmark, "way": way, **values})
    numbers = {"seconds": "{:9.4f} s", "ratio": "{:7.2f}", "of the limit": "{:6.0%}"}
    shown = [f.format(values[name]) for name, f in numbers.items() if name in values]
    print(f"{way:36}", *shown, values.get("told", ""), flush=True)


def _product(device: str) -> Callable[[], float]:
    """A large matrix product, which gives the operations in it."""
    n = 8192 if device == "cuda" else 1280
    # No ones: a GPU that flips fewer bits runs faster.
    left, right = torch.rand(n, n, device=device), torch.rand(n, n, device=device)

    def multiply() -> float:
        product = left @ right
        if product.is_cuda:
            torch.cuda.synchronize()
        return 2.0 * n**3

    return multiply


def machine(device: str) -> str:
    """A machine in words, with the version of torch."""
    model = platform.processor() or platform.machine()
    if device == "cuda":
        model = torch.cuda.get_device_name()
    elif (cpus := Path("/proc/cpuinfo")).is_file():  # which on some processors names none
        found = re.search(r"model name\s*:\s*(.*)", cpus.read_text(encoding="utf-8"))
        model = found[1] if found else model
    return f"{model}, {os.cpu_count()} cores, torch {torch.__version__}"
