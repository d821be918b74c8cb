"""Build the book: papermill runs the chapters, jupyter-book makes the pages.

A chapter runs again only when its key changes: the hash of the notebook, its parameters, the
library's source and the lock. Each result is a folder that appears whole or not at all, so a
build that was killed goes on where it stopped and ends in the same book.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from contents import TOOLS, Chapter, plan
from multiscale.config import PROJECT_ROOT, AudioError, ParameterError, Profile, load_profile
from pages import update_pages
from readying import Ready, choose_profile, prepare_all

JOBS = min(2, os.cpu_count() or 1)


def run_all(chapters: list[Chapter], lacking: dict[str, str]) -> list[str]:
    """Run chapters, `JOBS` at a time, each in a process of its own.

    Parameters
    ----------
    chapters : list of Chapter
        Those to run.
    lacking : dict of str to str
        What the data lacks: see :class:`readying.Ready`.

    Returns
    -------
    list of str
        Messages of those that failed.
    """
    if not chapters:
        return []
    running, failures = [], []
    with ThreadPoolExecutor(JOBS) as pool, tqdm(total=len(chapters), unit="chapter") as bar:

        def run(chapter: Chapter) -> tuple[int, str]:
            running.append(chapter.notebook.stem)
            bar.set_postfix_str(", ".join(running))
            result = run_in_child(chapter, lacking)
            running.remove(chapter.notebook.stem)
            return result

        jobs = {pool.submit(run, chapter): chapter.notebook.stem for chapter in chapters}
        for job in as_completed(jobs):
            failed, message = job.result()
            if failed:
                failures.append(message)
            elif message:
                bar.write(f"{jobs[job]} wrote to standard error:\n{message}")
            bar.update()
    return failures


def run_in_child(chapter: Chapter, lacking: dict[str, str]) -> tuple[int, str]:
    """Run a chapter in a process that ends with this one; its exit status and its message."""
    threads = str(max(1, (os.cpu_count() or 1) // JOBS))
    fixed = {"OMP_NUM_THREADS": threads, "PYTHONHASHSEED": "0", "TQDM_DISABLE": "1"}
    command = [sys.executable, str(TOOLS / "chapters.py"), str(chapter.notebook)]
    command += [str(chapter.folder), json.dumps(chapter.parameters)]
    command += [chapter.provenance, chapter.key, json.dumps(lacking)]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            command,
            env={**os.environ, **fixed},
            stdin=subprocess.PIPE,  # stays open as long as this process lives
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as child,
    ):
        message = child.stdout.read().strip()
        failed = child.wait()
        log.seek(0)
        return failed, message or (log.read().strip() if failed else "")


def build(root: Path, profile_name: str, prepare: Callable[[Profile], Ready] = prepare_all) -> int:
    """Make the book, doing only what changed.

    Parameters
    ----------
    root : Path
        Folder of ``_config.yml``, ``_toc.yml`` and ``book``.
    profile_name : str
        Name of a profile.
    prepare : callable
        Makes data and experiments of a profile ready, called when a chapter has to run.

    Returns
    -------
    int
        Exit status: 0, or 1 if a chapter or a page failed.
    """
    profile = load_profile(profile_name)
    chapters = plan(root, profile, profile_name)
    for leftover in (root / "_build" / "chapters" / profile.name).glob(".*"):
        shutil.rmtree(leftover)  # of a build that was killed
    stale = [chapter for chapter in chapters if not chapter.is_current]
    ready = Ready()
    if stale:
        ready = prepare(profile)
        for message in ready.failed.values():
            print(f"missing in the book: {message}", file=sys.stderr)
    else:
        print(f"all {len(chapters)} chapters are up to date")
    # The last chapters train models and take longest: they begin first.
    if failures := run_all(stale[::-1], ready.lacking):
        print("\n".join(failures), file=sys.stderr)
        print(f"{len(failures)} of {len(chapters)} chapters failed: no book", file=sys.stderr)
        return 1
    if not update_pages(root, chapters):
        print("jupyter-book complained: no new book", file=sys.stderr)
        return 1
    for chapter in chapters if ready.failed else ():
        chapter.forget_if_incomplete()
    print(root / "_build" / "html" / "index.html")
    return 0


def main() -> int:
    """Build the book of this project."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="laptop", help="smoke, laptop, paper or a .yaml file")
    parser.add_argument("--dataset", help="another data set than the profile's")
    parser.add_argument("--data", help="your table or folder of audio, or a copy of the data set")
    parser.add_argument("--clips", help="clips to use, or all")
    arguments = parser.parse_args()
    lock = PROJECT_ROOT / "_build" / ".lock"
    lock.parent.mkdir(exist_ok=True)
    try:
        with FileLock(lock):  # a second build waits for the first
            chosen = choose_profile(
                arguments.profile, arguments.dataset, arguments.data, arguments.clips
            )
            return build(PROJECT_ROOT, chosen)
    except (ParameterError, AudioError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
