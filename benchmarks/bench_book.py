"""Making a whole book, from nothing but the installed packages: the three parts of `make book`.

Data are the music; experiments, all that is learned, extracted and trained; then come chapters and
pages. Each is a process of its own, which imports the library first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import yaml
from timing import note, report

PROJECT = Path(__file__).parents[1]


def main(tiny: bool, profile: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "project")
        shutil.copytree(PROJECT, root, ignore=shutil.ignore_patterns(".*", "_build", "_runs"))
        if tiny:
            profile = little(root)
        environment = {**os.environ, "MULTISCALE_HOME": str(Path(scratch, "home"))}
        parts = {
            "data": ["-c", f"from multiscale.study import Study; Study({profile!r}).music"],
            "experiments": ["-m", "multiscale.study", "run", "--profile", profile],
            "chapters and pages": ["-m", "companion.build", "--root", root, "--profile", profile],
        }
        title = f"a whole book, profile {Path(profile).stem}"
        for part, command in parts.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, env=environment)
            note(title, part, threads=os.cpu_count(), seconds=time.perf_counter() - start)


def little(root: Path) -> str:
    """A profile of three files of noise, in a project that has one page left."""
    (root / "_toc.yml").write_text("format: jb-book\nroot: book/only\n", encoding="utf-8")
    (root / "book" / "only.md").write_text("# The only page\n", encoding="utf-8")
    noise = np.random.default_rng(0).standard_normal((3, 29 * 16_000)) / 10
    for number, clip in enumerate(noise):
        soundfile.write(root / f"{number}.wav", clip, 16_000)
    music = {"name": "folder", "path": str(root)}
    path = root / "little.yaml"
    path.write_text(yaml.safe_dump({"description": "noise", "dataset": music}), encoding="utf-8")
    return str(path)


if __name__ == "__main__":
    report(main, profile="smoke")
