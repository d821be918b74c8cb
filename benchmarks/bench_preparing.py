"""Peak memory and time of preparing 300 and 3,000 short files, and one file of an hour.

Memory must not grow with the number of files or their length. Each case runs in a process of its
own, whose peak is the kernel's; one process does the work, so its peak is all there is.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from multiscale.datasets.tracks import Track, prepare_tracks

RATE = 44_100
CASES = {"300 files": (300, 3), "3000 files": (3000, 3), "one file of 1 h": (1, 3600)}


def main() -> None:
    print(f"{'':20}{'peak, MB':>12}{'s':>8}{'ratio':>8}")
    first = None
    for name, (n_files, seconds) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            write_music(Path(folder), n_files, seconds)
            command = [sys.executable, __file__, folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        peak, taken = map(float, done.stdout.split())
        first = first or peak
        print(f"{name:20}{peak:12.0f}{taken:8.1f}{peak / first:8.2f}", flush=True)


def write_music(folder: Path, n_files: int, seconds: int) -> None:
    noise = np.random.default_rng(0).integers(-9999, 9999, (RATE, 2), np.int16)
    for number in range(n_files):
        path = folder / f"{number}.wav"
        with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16") as file:
            for _ in range(seconds):
                file.write(noise)


def measure(folder: Path) -> None:
    """Print the peak in MB and the seconds of preparing all files of a folder."""
    start = time.perf_counter()
    tracks = [Track.of(path, path.name) for path in sorted(folder.glob("*.wav"))]
    reports = prepare_tracks(tracks, folder, clip_seconds=5, n_workers=1)
    taken = time.perf_counter() - start
    assert all(report["clips"] for report in reports)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # The kernel counts in KiB, macOS in bytes.
    print(peak / (1e6 if sys.platform == "darwin" else 1e3), taken)


if __name__ == "__main__":
    measure(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
