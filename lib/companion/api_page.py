"""The API reference: pages from the docstrings, modules in the order in which data flow."""

PARTS = {
    "api_method": (
        "The method",
        """multiscale.config multiscale.audio multiscale.spectrogram multiscale.representations
        multiscale.encoding multiscale.kmeans multiscale.features multiscale.descent
        multiscale.training multiscale.tagging multiscale.similarity""",
    ),
    "api_data": (
        "Data sets",
        "multiscale.datasets multiscale.datasets.base multiscale.datasets.describing coverbands",
    ),
    "api_experiments": (
        "Experiments",
        """multiscale.study.profiles multiscale.study.design multiscale.study.study
        multiscale.study.protocol multiscale.study.results multiscale.study.evidence
        multiscale.study.claims multiscale.study.decisions""",
    ),
    "api_chapters": ("In the chapters", "companion companion.figures companion.listen"),
}
"""Page -> its title, and modules whose names readers use."""

HEAD = """# API reference

Generated from the docstrings, in the order in which data flow through the modules.
"""

SECTION = """
## {name}

```{{eval-rst}}
.. automodule:: {name}
   :members:
   :member-order: bysource
```
"""


def api_pages() -> dict[str, str]:
    """MyST source of the pages by name; the first, ``api``, leads to the others."""
    pages = {"api": HEAD}
    for page, (title, names) in PARTS.items():
        told = ", ".join(f"`{name}`" for name in names.split())
        pages["api"] += f"\n- [{title}]({page}.md): {told}"
        sections = (SECTION.format(name=name) for name in names.split())
        pages[page] = "".join([f"# {title}\n", *sections])
    return pages
