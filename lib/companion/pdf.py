"""The whole book as one PDF: its pages, one after another in a browser, printed."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml

from companion.build import project
from companion.contents import toc_files
from multiscale.commands import command
from multiscale.config import ParameterError

SITE = "http://book/"
"""Where the browser believes to find the pages; it is answered from their folder."""

TOGETHER = """async ([names, title, author]) => {
  const cover = document.createElement('header');
  cover.className = 'cover';
  const lines = [['h1', title], ['p', author], ['p', new Date().toISOString().slice(0, 10)]];
  cover.append(document.querySelector('img.logo__image').cloneNode(), ...lines.map(
    ([tag, words]) => Object.assign(document.createElement(tag), {textContent: words})));
  const pages = await Promise.all(names.map(async name => {
    const text = await (await fetch(`${name}.html`)).text();
    const page = new DOMParser().parseFromString(text, 'text/html');
    const article = document.adoptNode(page.querySelector('article.bd-article'));
    article.querySelectorAll('[id]').forEach(e => { e.id = `${name}-${e.id}`; });
    article.querySelectorAll('a[href]').forEach(link => {
      const [file, id] = link.getAttribute('href').split('#');
      const to = file ? file.replace(/[.]html$/, '') : name;
      if (names.includes(to)) link.href = id ? `#${to}-${id}` : `#${to}`;
    });
    article.id = name;
    return article;
  }));
  document.body.replaceChildren(cover, ...pages);
  document.body.className = 'whole-book bd-content';
  await MathJax.startup.promise;
  await MathJax.typesetPromise();
  [...document.images].forEach(image => { image.loading = 'eager'; });
  await Promise.all([...document.images].map(image => image.decode()));
}"""

NUMBER = '<p style="width: 100%; text-align: center; font-size: 8pt"><span class="pageNumber">'

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
"""The browser of this machine."""


def print_book(html: Path, names: list[str], target: Path, title: str, author: str) -> None:
    """Write the pages of a built book, in this order, into one PDF with cover and outline."""
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        raise ParameterError("pdf: expected chromium or google-chrome to print with, got neither")

    def answer(route) -> None:
        path = html / unquote(urlsplit(route.request.url).path).lstrip("/")
        route.fulfill(path=path) if path.is_file() else route.abort()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.emulate_media(color_scheme="light")
        page.route("**", answer)
        page.goto(f"{SITE}book/{names[0]}.html")
        page.evaluate(TOGETHER, [names, title, author])
        page.pdf(
            path=target,
            format="A4",
            margin={"top": "18mm", "bottom": "18mm", "left": "20mm", "right": "20mm"},
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=NUMBER,
            tagged=True,
            outline=True,
        )
        browser.close()


def main() -> int:
    """Print the book that stands in ``_build/html``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="folder of the project")
    given = parser.parse_args()
    with command():
        root = project(given.root)
        html, target = root / "_build" / "html", root / "_build" / "multiscale.pdf"
        names = [Path(file).name for file in toc_files(root / "_toc.yml")]
        if lacking := [name for name in names if not (html / "book" / f"{name}.html").is_file()]:
            raise ParameterError(f"pdf: expected a built book, got none of {', '.join(lacking)}")
        config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
        print_book(html, names, target, config["title"], config["author"])
        print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
