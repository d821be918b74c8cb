"""Run one chapter with other parameters, as a notebook and a page, beside the book."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import sys
from pathlib import Path

import nbformat
import yaml

from companion.build import choose_profile, prepare, project
from companion.chapter import ChapterParameters, refuse_others
from companion.contents import parameters, provenance
from companion.notebooks import ChapterError, execute, leave_out, tidy
from companion.pages import jupyter_book
from multiscale.config import ParameterError
from multiscale.study.profiles import parse_yaml


def parse(text: str) -> dict:
    """Read ``"n_levels=4 seed=1"``; values are YAML scalars, quoted as in a shell."""
    values = {}
    try:
        pieces = shlex.split(text)
    except ValueError as error:
        raise ParameterError(f"P: expected name=value, got {text!r}: {error}") from None
    for piece in pieces:
        name, equals, value = piece.partition("=")
        if not (name.isidentifier() and equals and value) or name in values:
            raise ParameterError(f"P: expected name=value, each name once, got {piece!r}")
        values[name] = parse_yaml(value)
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
    lacking = prepare(root, profile, [known[name]], n_soundtracks)
    changes = " ".join(f"{name}={value}" for name, value in given.items())
    folder = root / "_runs" / name / (re.sub(r"[^\w=.-]+", "_", changes) or "defaults")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    notebook = folder / f"{name}.ipynb"
    leave_out(known[name], notebook, lacking)
    executed = execute(notebook, notebook, given, cwd=folder, progress=True)
    print(tidy(executed, f"{provenance(profile)} Run with {changes or 'its own parameters'}."))
    nbformat.write(executed, notebook)
    return notebook, make_page(root, notebook, folder)


def main() -> int:
    """Run the chapter that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chapter", help="such as 03_2_gaussian_pyramid")
    parser.add_argument("--parameters", default="", help='such as "n_levels=4 seed=1"')
    parser.add_argument("--profile", help="smoke, laptop, paper or a .yaml file")
    parser.add_argument("--root", type=Path, default=Path(), help="folder of the project")
    arguments = parser.parse_args()
    try:
        given = {"profile": arguments.profile} if arguments.profile else {}
        given |= parse(arguments.parameters)
        print(*rerun(project(arguments.root), arguments.chapter, given), sep="\n")
    except ParameterError as error:
        print(error, file=sys.stderr)
        return 2
    except ChapterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
