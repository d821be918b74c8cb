"""The API reference: one page from the docstrings, modules in the order in which data flow."""

MODULES = {
    "The method": """multiscale.config multiscale.audio multiscale.spectrogram
        multiscale.representations multiscale.encoding multiscale.kmeans multiscale.features
        multiscale.descent multiscale.training multiscale.tagging multiscale.similarity""",
    "Data sets": """multiscale.datasets multiscale.datasets.base multiscale.datasets.describing
        coverbands""",
    "Experiments": """multiscale.study.profiles multiscale.study.design multiscale.study.study
        multiscale.study.protocol multiscale.study.results multiscale.study.evidence
        multiscale.study.claims multiscale.study.decisions""",
    "In the chapters": "companion companion.figures companion.listen",
}
"""Heading -> modules whose names readers use."""

HEAD = """# API reference

Generated from the docstrings, in the order in which data flow through the modules.
"""

SECTION = """
### {name}

```{{eval-rst}}
.. automodule:: {name}
   :members:
   :member-order: bysource
```
"""


def api_page() -> str:
    """MyST source of the page."""
    parts = [HEAD]
    for title, names in MODULES.items():
        parts += [f"\n## {title}\n", *(SECTION.format(name=name) for name in names.split())]
    return "".join(parts)
