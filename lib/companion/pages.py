"""From executed chapters to pages: the staging tree, and jupyter-book on it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

from companion.api_page import api_pages
from companion.contents import Chapter, digest, parameters
from multiscale.identity import code_digest

EXTENSION = "companion.sphinx_extension"
STATIC = Path(__file__).with_name("static")


def stage(root: Path, chapters: list[Chapter], target: Path) -> None:
    """Lay out what jupyter-book reads: executed chapters, prose, and the files they show."""
    shutil.rmtree(target, ignore_errors=True)
    hidden_or_notebooks = shutil.ignore_patterns(".*", "*.ipynb", "files")
    shutil.copytree(root / "book", target / "book", ignore=hidden_or_notebooks)
    shutil.copy(root / "_toc.yml", target)
    for name, text in api_pages().items():
        (target / "book" / f"{name}.md").write_text(text, encoding="utf-8")
    (target / "extra").mkdir()
    shutil.copy(STATIC / "404.html", target / "extra")  # at the root, where hosts look for it
    for chapter in chapters:
        executed = nbformat.read(chapter.folder / chapter.notebook.name, as_version=4)
        known = parameters(chapter.notebook)
        seed = f"seed {known['seed']}, " if "seed" in known else ""
        executed.metadata["provenance"] += f" This page: {seed}run in {chapter.made['seconds']} s."
        nbformat.write(executed, target / "book" / chapter.notebook.name)
        for place in ("book", "extra/book"):  # for Sphinx's own images, and for players
            shutil.copytree(chapter.folder / "files", target / place / "files", dirs_exist_ok=True)


def jupyter_book(source: Path, config: Path, output: Path, *options: str) -> Path | None:
    """Turn a staging tree into HTML below ``output``, made anew; None if there were complaints."""
    shutil.rmtree(output, ignore_errors=True)
    program = Path(sys.executable).with_name("jupyter-book")
    command = [str(program), "build", str(source), "--config", str(config), "-q", "--all"]
    command += ["--path-output", str(output), *options]
    # In a group of its own, which Ctrl-C does not reach: who waits for it ends it.
    alone = {"stdout": subprocess.DEVNULL, "process_group": 0}
    failed = subprocess.run(command, **alone, check=False).returncode
    return None if failed else output / "_build" / "html"


def update_pages(root: Path, chapters: list[Chapter]) -> bool:
    """Make the pages, unless those that stand are of these very inputs; False if there are none.

    Warnings are errors; after one the old pages stay.
    """
    sources = [p for p in (root / "book").rglob("*") if p.is_file()]
    sources += [root / "_config.yml", root / "_toc.yml", *STATIC.iterdir()]
    made = [(chapter.key, str(chapter.made["seconds"])) for chapter in chapters]
    key = digest(sources, code_digest(EXTENSION, __name__), *map("".join, made))
    html = root / "_build" / "html"
    stamp = html / "key.txt"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == key:
        print("all pages are up to date")
        return True
    print("making pages ...", flush=True)
    staged, output = root / "_build" / "stage", root / "_build" / "sphinx"
    stage(root, chapters, staged)
    strict = ("-W", "-n", "--keep-going")
    fresh = jupyter_book(staged, root / "_config.yml", output, *strict)
    if fresh is None:
        return False
    (fresh / "key.txt").write_text(key, encoding="utf-8")
    shutil.rmtree(html, ignore_errors=True)
    fresh.rename(html)
    return True
