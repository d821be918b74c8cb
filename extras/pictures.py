"""Take README's pictures of the book that stands in ``_build/html``, with chromium.

``python extras/pictures.py`` writes them into ``book/images``; the first is also what those show
who link to a page of the published book.
"""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from companion.pdf import CHROMIUM

ROOT = Path(__file__).parents[1]
SIZE = {"width": 1280, "height": 672}
PICTURES = {"first_page": ("index", "h1"), "laplacian_pyramid": ("03_3_laplacian_pyramid", "img")}
"""Name -> page, and what of it stands at the top of the picture."""


def main() -> None:
    """Take all pictures."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        view = browser.new_page(viewport=SIZE, color_scheme="light")
        for name, (page, top) in PICTURES.items():
            view.goto((ROOT / "_build" / "html" / "book" / f"{page}.html").as_uri())
            view.locator(f".bd-article {top}").first.evaluate(
                "e => { e.loading = 'eager'; e.style.scrollMarginTop = '60px'; e.scrollIntoView() }"
            )
            view.wait_for_load_state("networkidle")
            taken = Image.open(io.BytesIO(view.screenshot())).convert("RGB")
            taken.quantize(256, kmeans=1).save(
                ROOT / "book" / "images" / f"{name}.png", optimize=True
            )
        browser.close()


if __name__ == "__main__":
    main()
