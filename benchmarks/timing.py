"""Time several ways of doing one thing, in turn, so that a noisy machine is fair to all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def compare(title: str, ways: dict[str, Callable[[], object]], repeats: int = 7) -> None:
    """Print the median time of every way, and its ratio to the first."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if repeat:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    first = next(iter(medians.values()))
    print(f"\n{title}\n{'':32}{'median, ms':>12}{'fastest':>10}{'ratio':>8}")
    for name, median in medians.items():
        fastest = min(times[name])
        print(f"{name:32}{1e3 * median:12.1f}{1e3 * fastest:10.1f}{median / first:8.2f}")
