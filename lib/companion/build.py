"""Build the book: papermill runs the chapters, jupyter-book makes the pages.

A chapter runs again only when its key changes. Each result is a folder that appears whole or not
at all, so a build that was killed goes on where it stopped and ends in the same book.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from concurrent.futures import BrokenExecutor, as_completed
from pathlib import Path

import yaml
from filelock import FileLock

from companion.chapter import soundtracks
from companion.contents import Chapter, parameters, plan
from companion.kernel import WARM
from companion.notebooks import run_chapter
from companion.pages import update_pages
from multiscale import datasets
from multiscale.commands import command, processes
from multiscale.config import ParameterError, data_home
from multiscale.datasets import DatasetSettings
from multiscale.datasets.base import OPTIONS
from multiscale.identity import atomic_write
from multiscale.progress import progress
from multiscale.study.profiles import PROFILES, Profile, load_profile, parse_yaml

JOBS = min(2, os.cpu_count() or 1)


def choose_profile(profile: str, dataset: str = "", data: str = "", clips: str = "") -> Profile:
    """A profile by name or path, perhaps on other data: ``clips`` is a number or "all".

    One that is a file, or that is changed here, is kept under its name, so that pages and commands
    can go by that, and no page tells where its maker keeps files.
    """
    old = load_profile(profile)
    changes: dict[str, object] = {"name": dataset} if dataset else {}
    if data:
        changes["path"] = data
    if clips:
        changes["n_clips"] = None if clips == "all" else parse_yaml(clips)
    if not changes and not profile.endswith(".yaml"):
        return old
    chosen = dataset or old.dataset.name
    another = chosen != old.dataset.name  # whose options are its own
    kept = old.dataset.model_dump(exclude=set(OPTIONS) if another else None)
    if (data and chosen == "cover_bands") or (
        chosen == "folder" and not (kept | changes).get("path")
    ):
        raise ParameterError(
            "data: expected DATASET=folder with DATA=, a table or folder of audio, "
            f"got DATASET={chosen} with DATA={data}"
        )
    settings = DatasetSettings(**kept | changes)
    datasets.identity(settings)  # refuses what cannot be, before one that can is replaced
    name = f"{old.name}-{settings.name}" if changes else old.name
    if (PROFILES / f"{name}.yaml").is_file():
        raise ParameterError(
            f"profile: expected a file of another name than {name}.yaml, which is ours"
        )
    new = old.model_copy(update={"name": name, "dataset": settings})
    path = data_home() / "profiles" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(yaml.safe_dump(new.model_dump(exclude={"name"})), encoding="utf-8")
    return new


def prepare(root: Path, profile: Profile, notebooks: list[Path], n_soundtracks: int = 60) -> dict:
    """Make the data ready; what notebooks need and this copy lacks -> a sentence for the page."""
    import librosa
    import matplotlib.font_manager  # noqa: F401  (builds matplotlib's font cache)

    from multiscale.study.design import Architecture
    from multiscale.study.learning import learner
    from multiscale.study.study import Study

    librosa.filters.mel(sr=16_000, n_fft=1024, n_mels=40)  # compiled once for all chapters
    study, lacking = Study(profile), {}
    if len(study.music.skipped):
        print(f"{len(study.music.skipped)} files could not be used: Section 4.1 lists them")
    most = Architecture(representation="gaussian", window_length=4)  # that a chapter needs
    learner(most, profile.learning).check_windows(study.music.split("train"))
    if "tagging" not in study.tasks:
        lacking["tags"] = "the data set of this copy has no tags that can be predicted"
    if "similarity" not in study.tasks:
        lacking["artists"] = "the data set of this copy does not tell enough artists apart"
    if study.music.name != "cover_bands":
        lacking["cover-bands"] = "this copy was made from another data set than cover bands"
    asked = any("needs-soundtracks" in path.read_text(encoding="utf-8") for path in notebooks)
    if asked and (why := fetch_soundtracks(root, n_soundtracks)):
        lacking["soundtracks"] = f"the soundtracks cannot be had here: {why}"
    return lacking


def fetch_soundtracks(root: Path, n_clips: int) -> str:
    """Fetch free game music, unless it is there; else why it cannot be had."""
    table, script = soundtracks(n_clips), root / "extras" / "soundtracks.py"
    if table.is_file():
        return ""
    command = [sys.executable, script, table.parent, "--clips", str(n_clips)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def run_chapters(chapters: list[Chapter], lacking: dict[str, str]) -> list[str]:
    """Run chapters, `JOBS` at a time, each in a process; messages of those that failed."""
    failures = []
    # Each with its share of the cores: threads for all of them would wait for one another.
    share = max(1, (os.cpu_count() or 1) // JOBS)
    with processes(JOBS, env={"OMP_NUM_THREADS": str(share)} | WARM) as pool:
        futures = [pool.submit(run_chapter, chapter, lacking) for chapter in chapters]
        bar = progress(as_completed(futures), desc="chapters", total=len(chapters), unit="chapter")
        try:
            for name, failure, words in (future.result() for future in bar):
                if failure:
                    failures.append(failure)
                elif words:
                    bar.write(f"{name} wrote to standard error:\n{words}")
        except BrokenExecutor as error:
            failures.append(f"a chapter's process was killed: {error}")
    return failures


def build(root: Path, profile: Profile) -> int:
    """Make the book, doing only what changed; exit status 1 if a chapter or a page failed."""
    chapters = plan(root, profile)
    for leftover in (root / "_build" / "chapters" / profile.name).glob(".*"):
        shutil.rmtree(leftover)  # of a build that was killed
    stale = [chapter for chapter in chapters if not chapter.is_current]
    lacking, failed = {}, {}
    if stale:
        lacking = prepare(root, profile, [chapter.notebook for chapter in stale])
        failed = compute(profile)
        for message in failed.values():
            print(f"missing in the book: {message}", file=sys.stderr)
    else:
        print(f"all {len(chapters)} chapters are up to date")
    # The last chapters train models and take longest: they begin first.
    if failures := stale and run_chapters(stale[::-1], lacking):
        print("\n".join(failures), file=sys.stderr)
        print(f"{len(failures)} of {len(chapters)} chapters failed: no book", file=sys.stderr)
        return 1
    if not update_pages(root, chapters):
        print("jupyter-book complained: no new book", file=sys.stderr)
        return 1
    for chapter in chapters if failed else ():
        if "compute" in parameters(chapter.notebook):  # it shows experiments: once more next time
            (chapter.folder / "made.json").unlink()
    print(root / "_build" / "html" / "index.html")
    return 0


def compute(profile: Profile) -> dict[str, str]:
    """Compute the experiments that the last chapters show; messages of those that failed."""
    from multiscale.study import store
    from multiscale.study.study import Study

    print("experiments ...", flush=True)
    study = Study(profile)
    failed = study.compute()
    if others := store.other_versions(study.result_files(e)[0] for e in study.experiments()):
        print(others)
    return failed


def main() -> int:
    """Build the book in the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(), help="folder of the project")
    parser.add_argument("--profile", default="laptop", help="smoke, laptop, paper or a .yaml file")
    parser.add_argument("--dataset", default="", help="another data set than the profile's")
    parser.add_argument(
        "--data", default="", help="your table or folder, or a copy of the data set"
    )
    parser.add_argument("--clips", default="", help="clips to use, or all")
    given = parser.parse_args()
    with command():
        root = project(given.root)
        profile = choose_profile(given.profile, given.dataset, given.data, given.clips)
        (root / "_build").mkdir(exist_ok=True)
        with FileLock(root / "_build" / ".lock"):  # a second build waits for the first
            return build(root, profile)


def project(root: Path) -> Path:
    """The whole path of a project's folder; a ParameterError if it is none."""
    if not (root / "_toc.yml").is_file():
        raise ParameterError(f"root: expected a folder with _toc.yml, got {str(root)!r}")
    return root.resolve()


if __name__ == "__main__":
    sys.exit(main())
