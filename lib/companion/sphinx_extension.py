"""Sphinx extension: pages that ask nothing of the network, and say what made them."""

from __future__ import annotations

import html
import shutil
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten
from types import GenericAlias, UnionType

from docutils import nodes
from sphinx.application import Sphinx

MATHJAX = "mathjax/tex-svg-full.js"
"""One file that holds MathJax and its fonts; from the package sphinx-mathjax-offline."""


def drop_thebe(app: Sphinx, config) -> None:
    """Unplug Thebe, which jupyter-book loads always and which would fetch its scripts."""
    for listeners in app.events.listeners.values():
        listeners[:] = [x for x in listeners if x.handler.__module__ != "sphinx_thebe"]


def keep_local(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Drop scripts and styles of other hosts, and Thebe's."""

    def is_local(asset: object) -> bool:
        name = str(getattr(asset, "filename", asset))
        return "://" not in name and "thebe" not in name

    for kind in ("script_files", "css_files"):
        context[kind] = [asset for asset in context[kind] if is_local(asset)]


def add_provenance(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Tell at the foot of a chapter what made it, and how to run it with other parameters."""
    told, name = app.env.metadata.get(page, {}), Path(page).name
    if "provenance" in told:
        sentence = html.escape(told["provenance"])
        context["body"] += (
            f'<p class="provenance"><small>{sentence} With other parameters: '
            f'<code>make rerun CHAPTER={name} P="{told["example"]}"</code>; '
            f"its page lands in <code>_runs/{name}</code>.</small></p>"
        )


def add_preview(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Tell who links to a page what it is: title, first paragraph, a picture once published."""
    if doctree is None:
        return
    words = next((p.astext() for p in doctree.findall(nodes.paragraph)), "")
    told = {"og:type": "article", "og:title": app.env.titles[page].astext()}
    told["og:description"] = shorten(words, 200, placeholder=" ...")
    if url := app.config.html_baseurl.rstrip("/"):
        told |= {"og:url": context["pageurl"], "og:image": f"{url}/first_page.png"}
        told["twitter:card"] = "summary_large_image"
    for name, content in told.items():
        kind = "property" if name.startswith("og:") else "name"
        context["metatags"] += f'<meta {kind}="{name}" content="{html.escape(content)}">\n'


def skip_members(app: Sphinx, what: str, name: str, member, skip: bool, options) -> bool | None:
    """Keep what is not ours out of the API reference: folders, aliases, scikit-learn's routing."""
    is_ours = not isinstance(member, Path | UnionType | GenericAlias) and name != "set_fit_request"
    return None if is_ours else True


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Put MathJax beside the pages."""
    if error is None and app.builder.format == "html":
        package = Path(find_spec("sphinx-mathjax-offline").origin).parent
        target = Path(app.outdir) / "_static" / MATHJAX
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(package / "static" / MATHJAX, target)


def setup(app: Sphinx) -> dict:
    """Connect to Sphinx."""
    app.config.mathjax_path = MATHJAX
    app.config.html_static_path.append(str(Path(__file__).parent / "static"))
    app.add_css_file("multiscale.css")
    app.add_js_file("multiscale.js")
    app.connect("config-inited", drop_thebe)
    app.connect("html-page-context", keep_local, priority=900)  # after all that add assets
    app.connect("html-page-context", add_provenance)
    app.connect("html-page-context", add_preview)
    app.connect("autodoc-skip-member", skip_members)
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
