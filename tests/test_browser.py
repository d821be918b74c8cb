"""Every page of the built book, in a real browser that must not leave this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urldefrag

import pytest
from axe_playwright_python.sync_playwright import Axe

from companion.contents import parameters
from companion.pdf import CHROMIUM

HTML = Path(__file__).parents[1] / "_build" / "html"
PAGES = sorted(p.relative_to(HTML).as_posix() for p in HTML.glob("book/*.html"))
DISABLED = ("gpu", "background-networking", "component-update", "sync")
FLAGS = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in DISABLED)]
MEDIA_STATE = """async () => {
  const media = [...document.querySelectorAll('audio, video')];
  await Promise.all(media.map(m => new Promise(done => {
    if (m.readyState >= 1 || m.error) return done();
    m.addEventListener('loadedmetadata', done);
    m.addEventListener('error', done);
    m.querySelectorAll('source').forEach(s => s.addEventListener('error', done));
    setTimeout(done, 20000);
    m.preload = 'metadata';
    m.load();
  })));
  return media.map(m => [m.currentSrc.slice(0, 200), m.duration || 0]);
}"""
IMAGE_STATE = """async () => {
  const images = [...document.images];
  images.forEach(i => { i.loading = 'eager'; });
  await Promise.all(images.map(i => i.decode().catch(() => null)));
  return images.map(i => [i.src.slice(0, 200), i.naturalWidth, i.alt]);
}"""
CUT_OFF = """() => [
  ...document.querySelectorAll('.bd-article :is(pre, table, div.math, .cell_output > div, img)')
].filter(e => e.scrollWidth > e.clientWidth + 8).map(e => e.textContent.trim().slice(0, 200))"""


MOST_BYTES = {"own": 1_500_000, "shared": 5_000_000}
"""That a page asks for until a sound is played, for itself and for what all pages share."""


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without a line on standard error for each."""

    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def site():
    """Address of the book, served from this machine."""
    reason = None
    if not PAGES:
        reason = "there is no built book: run `make book` first"
    elif CHROMIUM is None:
        reason = "there is no chromium or google-chrome (Debian: apt-get install chromium)"
    if reason and os.environ.get("MULTISCALE_REQUIRE_BROWSER"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    handler = partial(QuietHandler, directory=str(HTML))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser(site):
    """Debian's Chromium, without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, site):
    """A tab; the test fails if it complained, or asked anything of another host."""
    page = browser.new_page()
    complaints = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("response", lambda r: complaints.append(f"{r.status} {r.url}") if not r.ok else None)

    def keep_inside(route):
        if not route.request.url.startswith(site):
            complaints.append(f"left the machine: {route.request.url}")
        route.continue_() if route.request.url.startswith(site) else route.abort()

    page.route(lambda url: not url.startswith(("data:", "blob:")), keep_inside)
    yield page
    page.close()
    assert complaints == []


def links(page, selector: str) -> set[str]:
    """Absolute addresses of links on a page."""
    return set(page.eval_on_selector_all(selector, "links => links.map(link => link.href)"))


@pytest.mark.parametrize("name", PAGES or ["no book"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_is_whole(page, site, name, theme):
    page.emulate_media(color_scheme=theme)
    page.goto(f"{site}/{name}", wait_until="load")
    assert page.get_attribute("html", "data-theme") == theme
    for source, width, words in page.evaluate(IMAGE_STATE):
        assert width > 0, source
        assert " " in words, f"{source} is told in no words"
    for source, duration in page.evaluate(MEDIA_STATE):
        assert duration > 0, source
    formulas = page.locator(".math:not(.highlight *)").count()
    if formulas:
        page.wait_for_selector("mjx-container")
        page.wait_for_function("MathJax.startup.promise.then(() => true)")
        assert page.locator(".math mjx-container").count() >= formulas
        assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    # Without preload: axe would ask for what style sheets import at a wrong address.
    found = Axe().run(page, options={"preload": False, "resultTypes": ["violations"]}).response
    grave = [v for v in found["violations"] if v["impact"] in ("critical", "serious")]
    assert [(v["help"], [node["target"] for node in v["nodes"]]) for v in grave] == []


@pytest.mark.skipif(not PAGES, reason="there is no built book: run `make book` first")
def test_no_page_tells_where_it_was_made():
    telling = [name for name in PAGES if str(HTML.parents[1]) in (HTML / name).read_text("utf-8")]
    assert telling == []


def test_every_internal_link_leads_somewhere(page, site):
    anchors, wanted = {}, {}
    queue = [f"{site}/{name}" for name in PAGES]
    for address in queue:
        response = page.goto(address, wait_until="domcontentloaded")
        assert response.ok, f"{wanted.get(address, 'the book')} links to {address}"
        ids = "e => e.map(x => x.id || x.getAttribute('name'))"
        anchors[address] = set(page.eval_on_selector_all("[id], a[name]", ids))
        for target in links(page, "a[href]"):
            if not target.startswith(site):
                continue
            wanted.setdefault(target, address)
            file = urldefrag(target).url
            if file.endswith((".html", "/")) and file not in queue:
                queue.append(file)
    for target, address in wanted.items():
        file, fragment = urldefrag(target)
        if file in anchors:
            assert not fragment or fragment in anchors[file], f"{address} links to {target}"
        else:
            assert page.request.get(file).ok, f"{address} links to {target}"
    assert len(anchors) >= len(PAGES)


def test_code_is_folded_until_asked_for(page, site):
    page.goto(f"{site}/book/02_1_pca_whitening.html")
    lesson, load = (page.locator(f".cell_input:has-text('{t}')") for t in ("eigh(", "chapter("))
    assert lesson.is_visible()
    assert not load.is_visible()
    page.click("button.show-code")
    assert load.is_visible()
    page.keyboard.press("Enter")  # the switch still has the focus
    assert not load.is_visible()


def test_the_first_page_has_no_code(page, site):
    page.goto(f"{site}/book/index.html")
    assert page.locator("audio").count() >= 1
    assert page.locator(".cell_input, button.show-code").count() == 0


def test_a_footer_names_a_parameter_of_its_page(page, site):
    for notebook in (HTML.parents[1] / "book").glob("*.ipynb"):
        page.goto(f"{site}/book/{notebook.stem}.html")
        command = page.locator(".provenance code").first.inner_text()
        name = re.search(r'P="(\w+)=', command)[1]
        assert name in parameters(notebook), f"{notebook.stem}: {command}"


def test_players_are_started_by_the_keyboard_and_one_sounds_at_a_time(page, site):
    page.goto(f"{site}/book/index.html")
    players = page.locator("audio")
    for number, key in enumerate(["Space", "Enter"]):
        for _ in range(100):
            if players.nth(number).evaluate("audio => audio === document.activeElement"):
                break
            page.keyboard.press("Tab")
        page.keyboard.press(key)
        page.wait_for_function(f"!document.querySelectorAll('audio')[{number}].paused")
    page.wait_for_function("document.querySelectorAll('audio')[0].paused")


@pytest.mark.parametrize("name", PAGES or ["no book"])
def test_a_page_fits_a_phone(page, site, name):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{site}/{name}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("name", PAGES or ["no book"])
def test_nothing_is_cut_off_on_a_laptop(page, site, name):
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{site}/{name}")
    if page.locator("div.math").count():
        page.wait_for_function("MathJax.startup.promise.then(() => true)")
    if page.locator("button.show-code").count():
        page.click("button.show-code")
    assert page.evaluate(CUT_OFF) == []


@pytest.mark.parametrize("name", PAGES or ["no book"])
def test_a_page_weighs_little(page, site, name):
    sizes = {}
    page.on("response", lambda response: sizes.update({response.url: len(response.body())}))
    page.goto(f"{site}/{name}")
    page.evaluate(IMAGE_STATE)
    page.wait_for_load_state("networkidle")
    assert not any(url.endswith(".mp3") for url in sizes)
    (title,) = page.locator('meta[property="og:title"]').all()
    assert page.locator("h1").first.inner_text().startswith(title.get_attribute("content"))
    shared = sum(size for url, size in sizes.items() if "/_static/" in url)
    assert shared <= MOST_BYTES["shared"]
    assert sum(sizes.values()) - shared <= MOST_BYTES["own"]


def test_search_finds_pages_offline(page, site):
    page.goto(f"{site}/search.html?q=pyramid")
    page.wait_for_selector("#search-results li a")
    assert any("pyramid" in link for link in links(page, "#search-results li a"))


def test_the_front_door_leads_to_the_book(page, site):
    page.goto(f"{site}/index.html")
    page.wait_for_url("**/book/index.html")
    assert page.locator("h1").count() >= 1


@pytest.mark.usefixtures("site")
def test_the_whole_book_is_printed():
    root = HTML.parents[1]
    subprocess.run([sys.executable, "-m", "companion.pdf", "--root", root], check=True)
    printed = (HTML.parent / "multiscale.pdf").read_bytes()
    assert len(re.findall(rb"/Type /Page\b", printed)) > 2 * len(PAGES)
    assert b"/Outlines" in printed
