"""Run one chapter with other parameters, as a notebook and a page, beside the book."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
import yaml
from filelock import FileLock

from companion.build import choose_profile, prepare, project
from companion.chapter import ChapterParameters, refuse_others
from companion.contents import parameters, provenance
from companion.kernel import WARM, warm_up
from companion.notebooks import ChapterError, execute, leave_out, tidy
from companion.pages import jupyter_book
from multiscale.commands import command, processes
from multiscale.config import ParameterError
from multiscale.study.profiles import parse_yaml


def parse(text: str) -> dict:
    """Read ``"n_levels=4 seed=1"``; values are YAML scalars, quoted as in a shell."""
    values = {}
    try:
        for piece in shlex.split(text):
            name, equals, value = piece.partition("=")
            if not (name.isidentifier() and equals and value) or name in values:
                raise ParameterError(f"expected name=value, each once, got {piece!r}")
            values[name] = parse_yaml(value)
    except ValueError as error:
        raise ParameterError(f"P: {' '.join(str(error).split())}; got {text!r}") from None
    return values


def make_page(root: Path, notebook: Path, folder: Path) -> Path:
    """Turn an executed chapter into a page that stands alone, in ``folder/html``."""
    source, output = folder / "source", folder / "output"
    shutil.copytree(root / "book", source / "book", ignore=shutil.ignore_patterns("*.ipynb", ".*"))
    (source / "extra").mkdir()
    shutil.copy(notebook, source / "book")
    toc = {"format": "jb-book", "root": f"book/{notebook.stem}"}
    toc["chapters"] = [{"file": "book/bibliography"}]
    (source / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    # Links to other chapters lead nowhere here, and a changed run may leave a citation out.
    config["sphinx"]["config"]["suppress_warnings"] = ["myst.xref_missing", "ref.doc", "ref.ref"]
    (source / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    html = jupyter_book(source, source / "_config.yml", output)
    if html is None:
        raise ChapterError(f"chapter {notebook.stem}: jupyter-book made no page of {notebook}")
    html.rename(folder / "html")
    shutil.rmtree(source)
    shutil.rmtree(output)
    return folder / "html" / "book" / f"{notebook.stem}.html"


def rerun(root: Path, chapter: str, given: dict) -> tuple[Path, Path]:
    """Run a chapter into ``_runs``, leaving the book alone: the notebook and the page made.

    A ParameterError is raised before anything has run.
    """
    known = {path.stem: path for path in sorted((root / "book").glob("*.ipynb"))}
    name = Path(chapter).name.removesuffix(".ipynb")
    if name not in known:
        raise ParameterError(f"chapter: expected one of {', '.join(known)}, got {chapter!r}")
    own = parameters(known[name])
    refuse_others(given, own)
    ChapterParameters(**(own | given))
    profile = choose_profile((own | given)["profile"])
    given = given | {"profile": profile.name} if "profile" in given else given
    n_soundtracks = (own | given).get("n_source_clips", 60)
    changes = " ".join(f"{name}={value}" for name, value in given.items())
    folder = root / "_runs" / name / (re.sub(r"[^\w=.-]+", "_", changes) or "defaults")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as temporary:
        fresh = Path(temporary) / name
        fresh.mkdir()
        notebook = fresh / f"{name}.ipynb"
        with processes(1, env=WARM) as pool:  # papermill would take signals for itself
            pool.submit(warm_up)
            leave_out(known[name], notebook, prepare(root, profile, [known[name]], n_soundtracks))
            executed = pool.submit(execute, notebook, notebook, given, fresh, True).result()
        print(tidy(executed, f"{provenance(profile)} Run with {changes or 'its own parameters'}."))
        nbformat.write(executed, notebook)
        page = make_page(root, notebook, fresh)
        with FileLock(folder.parent / ".lock"):  # two may have run with the same parameters
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
    return folder / notebook.name, folder / page.relative_to(fresh)


def main() -> int:
    """Run the chapter that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chapter", help="such as 03_2_gaussian_pyramid")
    parser.add_argument("--parameters", default="", help='such as "n_levels=4 seed=1"')
    parser.add_argument("--profile", help="smoke, laptop, paper or a .yaml file")
    parser.add_argument("--root", type=Path, default=Path(), help="folder of the project")
    arguments = parser.parse_args()
    with command():
        given = {"profile": arguments.profile} if arguments.profile else {}
        given |= parse(arguments.parameters)
        try:
            print(*rerun(project(arguments.root), arguments.chapter, given), sep="\n")
        except ChapterError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
