"""What clips, dictionaries and features cost for ever more clips: time, memory, disk.

The clips are those of the profile smoke, again and again under other names, and once joined in long
files. Each size has a data home, and each kind of work a process, of its own. Cost should grow in
proportion, which is an exponent of 1; memory not at all; and disk as was forecast. Training alone
holds the features of all clips, once; it gets made-up ones, up to as many as the paper has clips.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import soundfile
from timing import note, report

from multiscale import datasets
from multiscale.config import SPLITS, TrainingSettings, data_home
from multiscale.datasets import DatasetSettings
from multiscale.study import Architecture, Experiment, Study, forecast, protocol
from multiscale.study.forecast import limited
from multiscale.study.jobs import jobs
from multiscale.study.learning import SHARD, by_split
from multiscale.study.profiles import Profile, load_profile
from multiscale.tagging import TAGGING

ARCHITECTURE = Architecture(dictionary=200)
KINDS = {"data": "cutting clips", "learn": "dictionaries", "extract": "features"}


def music(folder: Path, tiny: bool) -> list[Path]:
    """Files of one clip each: of the profile smoke, or noise."""
    if not tiny:
        found = datasets.load(load_profile("smoke").dataset)
        return [found.folder / path for path in found.clips["path"]]
    noise = np.random.default_rng(0).standard_normal(29 * 16_000) / 10
    soundfile.write(folder / "noise.wav", noise, 16_000)
    return [folder / "noise.wav"]


def reused(files: list[Path], folder: Path, n_clips: int) -> None:
    """So many files of them, under other names."""
    for number in range(n_clips):
        (folder / f"{number:05}.wav").symlink_to(files[number % len(files)])


def joined(files: list[Path], folder: Path, n_clips: int) -> None:
    """So many of them, one after the other, in as few files as make three splits."""
    for part, numbers in enumerate(np.array_split(np.arange(n_clips), 3)):
        with soundfile.SoundFile(folder / f"{part}.wav", "w", 16_000, 1, "PCM_16") as whole:
            for number in numbers:
                whole.write(soundfile.read(files[number % len(files)])[0])


def measure(folder: str) -> None:
    """Print a line for each kind of work on the clips of a folder."""
    for kind in KINDS:
        # Forked when nothing but imports has been done, so that its peak is its own.
        if (child := os.fork()) == 0:
            print(json.dumps(cost(folder, kind)), flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            sys.exit(1)


def cost(folder: str, kind: str) -> dict[str, float]:
    """What the clips of a folder cost: seconds, peak, bytes, and how many were forecast."""
    learning = load_profile("laptop").learning
    clips = DatasetSettings(name="folder", path=folder)
    study = Study(Profile(name="growth", description="", dataset=clips, learning=learning))
    do = {
        "data": lambda: datasets.load(clips, 1),
        "learn": lambda: study.learn([ARCHITECTURE]),
        "extract": lambda: [study.extract([ARCHITECTURE], i) for i in range(study.n_shards)],
    }[kind]
    before, start = stored(), time.perf_counter()
    with limited(1):
        do()
    found = {"seconds": time.perf_counter() - start, "peak": peak(), "disk": stored() - before}
    work = jobs(study, [Experiment(task="tagging", architecture=ARCHITECTURE)])
    expected = forecast.costs(study, work, 1.0).groupby("kind")["disk"].sum()
    return found | {"forecast": float(expected[kind])}


def train(n_clips: int, n_features: int = 3000, n_pools: int = 7) -> dict[str, float]:
    """Peak of a short training on made-up features of so many clips, and their bytes."""
    rng = np.random.default_rng(0)
    clips = pd.DataFrame({"split": rng.choice(SPLITS, n_clips, p=(0.7, 0.1, 0.2))})
    sizes = np.diff([*range(0, n_clips, SHARD), n_clips])
    made_up = (rng.standard_normal((n, n_pools, n_features), np.float32) for n in sizes)
    shards = ({"features": some, "sizes": [n_features]} for some in made_up)
    features = by_split(shards, SimpleNamespace(clips=clips))
    tags = {name: rng.random((len(values), 20)) < 0.2 for name, values in features.items()}
    settings = TrainingSettings(n_runs=1, n_trials=2, max_epochs=1, patience=1, n_hidden=20)
    protocol.run(TAGGING, features, tags, settings)
    return {"peak": peak(), "features": sum(values.nbytes for values in features.values())}


def peak() -> float:
    """Resident memory of this process at its peak, bytes."""
    # The kernel counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def stored() -> int:
    """Bytes in the data home."""
    return sum(path.stat().st_size for path in data_home().rglob("*") if path.is_file())


def main(tiny: bool) -> None:
    sizes = (24, 36) if tiny else (250, 1000, 4000)
    cases = [(joined, sizes[0]), *((reused, n_clips) for n_clips in sizes)]
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        files = music(Path(scratch), tiny)
        for lay, n_clips in cases:
            home, folder = (Path(tempfile.mkdtemp(dir=scratch)) for _ in range(2))
            lay(files, folder, n_clips)
            environment = {**os.environ, "MULTISCALE_HOME": str(home), "TQDM_DISABLE": "1"}
            command = [sys.executable, __file__, "--measure", str(folder)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
            for kind, line in zip(KINDS, done.stdout.splitlines(), strict=True):
                found[kind, lay, n_clips] = json.loads(line)
            shutil.rmtree(home)
    for n_clips in (24, 36) if tiny else (1000, 4000, 25_863):
        command = [sys.executable, __file__, "--train", str(n_clips)]
        done = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        words = ", ".join(f"{name} {value / 1e6:.0f} MB" for name, value in done.items())
        note("growth: training", f"features of {n_clips} clips", told=words)
    for kind, title in KINDS.items():
        print(f"\n{title}")
        for lay, n_clips in cases:
            way = f"{n_clips} clips" + (" in 3 files" if lay is joined else "")
            note(f"growth: {title}", way, threads=1, **told(found[kind, lay, n_clips]))
        grown = [found[kind, reused, n_clips] for n_clips in sizes]
        seconds, peaks = ([values[name] for values in grown] for name in ("seconds", "peak"))
        exponent = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
        words = f"exponent {exponent:.2f}, peak x {peaks[-1] / peaks[0]:.2f}"
        note(f"growth: {title}", f"from {sizes[0]} to {sizes[-1]} clips", told=words)


def told(values: dict[str, float]) -> dict[str, float | str]:
    """Of a kind of work: its seconds, and all else in words."""
    disk, expected = values["disk"] / 1e6, values["forecast"] / 1e6
    words = f"peak {values['peak'] / 1e6:.0f} MB, disk {disk:.1f} MB (forecast {expected:.1f})"
    return {"seconds": values["seconds"], "told": words}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2])
    elif sys.argv[1:2] == ["--train"]:
        print(json.dumps(train(int(sys.argv[2]))))
    else:
        report(main)
