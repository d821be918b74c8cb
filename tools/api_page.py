"""The API reference: one page from the docstrings, modules in the order of the pipeline."""

from __future__ import annotations

from pathlib import Path

from multiscale.store import FLOW

HEAD = """# API reference

Generated from the docstrings, in the order in which data flows through the modules.
"""

SECTION = """
## {title}

```{{eval-rst}}
.. automodule:: {name}
   :members:
   :member-order: bysource
```
"""


def module_names(package: Path) -> list[str]:
    """Dotted names below `package`, in the order of the pipeline; unknown ones last.

    Parameters
    ----------
    package : Path
        Folder of the package.

    Returns
    -------
    list of str
        Such as ``"datasets.base"``.
    """
    files = [p.relative_to(package).with_suffix("") for p in package.rglob("*.py")]
    names = {".".join(part for part in f.parts if part != "__init__") for f in files} - {""}

    def place(name: str) -> tuple[int, str]:
        head = name.split(".")[0]
        return (FLOW.index(head) if head in FLOW else len(FLOW), name)

    return sorted(names, key=place)


def api_page(package: Path) -> str:
    """MyST source of the page.

    Parameters
    ----------
    package : Path
        Folder of the package.

    Returns
    -------
    str
        A heading and an ``automodule`` per module.
    """
    sections = (
        SECTION.format(title=name, name=f"{package.name}.{name}") for name in module_names(package)
    )
    return HEAD + "".join(sections)
