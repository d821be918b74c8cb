"""From executed chapters to pages: the staging tree, and jupyter-book on it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill

from api_page import api_page
from contents import PACKAGE, TOOLS, Chapter, digest


def stage(root: Path, chapters: list[Chapter], target: Path) -> None:
    """Lay out what jupyter-book reads: executed chapters, prose, and the files they show.

    Parameters
    ----------
    root : Path
        Folder of ``_toc.yml`` and ``book``.
    chapters : list of Chapter
        All executed.
    target : Path
        The staging tree, made anew.
    """
    shutil.rmtree(target, ignore_errors=True)
    hidden_or_notebooks = shutil.ignore_patterns(".*", "*.ipynb", "files")
    shutil.copytree(root / "book", target / "book", ignore=hidden_or_notebooks)
    shutil.copy(root / "_toc.yml", target)
    (target / "book" / "api.md").write_text(api_page(PACKAGE), encoding="utf-8")
    (target / "extra").mkdir()
    for chapter in chapters:
        _sign(chapter, target / "book" / chapter.notebook.name)
        for place in ("book", "extra/book"):  # for Sphinx's own images, and for players
            shutil.copytree(chapter.folder / "files", target / place / "files", dirs_exist_ok=True)


def _sign(chapter: Chapter, target: Path) -> None:
    """Copy an executed chapter, its seed and the time it took added to its provenance."""
    executed = nbformat.read(chapter.folder / chapter.notebook.name, as_version=4)
    known = papermill.inspect_notebook(chapter.notebook)
    words = [f"seed {known['seed']['default']}"] if "seed" in known else []
    seconds = (chapter.folder / "seconds.txt").read_text(encoding="utf-8")
    words.append(f"run in {seconds} s")
    executed.metadata["provenance"] += f" This page: {', '.join(words)}."
    nbformat.write(executed, target)


def make_pages(root: Path, staged: Path, key: str) -> bool:
    """Turn a staging tree into ``_build/html``; warnings are errors.

    Parameters
    ----------
    root : Path
        Folder of ``_config.yml``.
    staged : Path
        The staging tree.
    key : str
        Stored with the pages.

    Returns
    -------
    bool
        Whether the pages were made without a warning; if not, the old ones stay.
    """
    html, output = root / "_build" / "html", root / "_build" / "sphinx"
    shutil.rmtree(output, ignore_errors=True)
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [str(jupyter_book), "build", str(staged), "-q", "--all"]
    command += ["-W", "-n", "--keep-going", "--config", str(root / "_config.yml")]
    command += ["--path-output", str(output)]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        return False
    fresh = output / "_build" / "html"
    (fresh / "key.txt").write_text(key, encoding="utf-8")
    shutil.rmtree(html, ignore_errors=True)
    fresh.rename(html)
    return True


def update_pages(root: Path, chapters: list[Chapter]) -> bool:
    """Make the pages, unless those that stand are of these very inputs.

    Parameters
    ----------
    root : Path
        Folder of ``_config.yml``, ``_toc.yml`` and ``book``.
    chapters : list of Chapter
        All executed.

    Returns
    -------
    bool
        Whether the pages stand.
    """
    sources = [p for p in (root / "book").rglob("*") if p.is_file()]
    sources += [root / "_config.yml", root / "_toc.yml"]
    sources += [*TOOLS.glob("*.py"), *TOOLS.glob("static/*.css")]
    key = digest(sources, *(chapter.key for chapter in chapters))
    stamp = root / "_build" / "html" / "key.txt"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == key:
        print("all pages are up to date")
        return True
    print("making pages ...", flush=True)
    staged = root / "_build" / "stage"
    stage(root, chapters, staged)
    return make_pages(root, staged, key)
