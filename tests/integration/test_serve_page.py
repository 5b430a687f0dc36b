"""The page of `serve` in a real browser: a person gets answers with reasons, by keyboard alone, whatever names hold."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from serving import HOSTILE, served_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
FIVE = ["sigur rós", "björk", "radiohead", "the beatles", "röyksopp"]


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    path = served_model(tmp_path_factory.mktemp("page"))
    command = [sys.executable, "-m", "lastfm_dask", "serve", str(path), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield json.loads(server.stdout.readline())["url"]
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def browser():
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium is installed: the page is not looked at in a browser")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: see extra browser-test"
    )
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=program, args=FLAGS)
        yield found
        found.close()


@contextmanager
def opened(browser, address: str, path: str = "", **options) -> Iterator:
    """Open a page that may ask nobody but the server, show no dialog, and log no error."""
    context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
    page, wrong = context.new_page(), []
    page.on("dialog", lambda dialog: wrong.append(dialog.message) or dialog.dismiss())
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request", lambda request: wrong.append(request.url) if not request.url.startswith(address) else None
    )
    page.goto(address + path)
    yield page
    context.close()
    assert wrong == []


def add(page, typed: str, name: str) -> None:
    page.locator("#finder").fill(typed)
    option = page.locator("[role=option]", has_text=name).first
    option.wait_for()
    option.click()
    page.locator(".like .name", has_text=name).wait_for()


def test_five_artists_give_answers_with_reasons_that_change(browser, address):
    with opened(browser, address) as page:
        for name in FIVE:
            add(page, name[:4], name)
        items = page.locator(".item")
        assert items.count() == 20
        first = items.first
        assert first.locator(".reason").count() >= 1
        assert any(name in first.locator(".why").inner_text() for name in FIVE)
        assert "listener" in first.inner_text()
        before = page.locator(".items").inner_text()
        page.get_by_label("Plays of björk").fill("9000")
        page.wait_for_function("before => document.querySelector('.items').innerText !== before", arg=before)
        assert "plays=9000" in page.url
        name = items.first.locator(".name").inner_text()
        items.first.get_by_text("not this one").click()
        page.locator(".excluded", has_text=name).wait_for()
        assert name not in page.locator(".item .head .name").all_inner_texts()
        page.locator("[data-similar]").first.click()
        assert page.locator(".similar li").first.inner_text()
        link = page.url
        answers = page.locator(".item .head .name").all_inner_texts()
    with opened(browser, address, link.removeprefix(address)) as page:
        assert page.locator(".item .head .name").all_inner_texts() == answers


def test_what_finds_nothing_says_so(browser, address):
    with opened(browser, address) as page:
        usual = page.locator("#finder-help").inner_text()
        page.locator("#finder").fill("qqqqqqqqqq")
        page.get_by_text("No artist has such a name").first.wait_for()
        page.locator("#finder").press("Escape")
        page.locator("#finder").fill("")
        page.wait_for_function(
            "usual => document.querySelector('#finder-help').innerText === usual", arg=usual
        )


def test_keyboard_alone(browser, address):
    with opened(browser, address) as page:
        page.locator("#finder").focus()
        page.keyboard.type("BJO")
        page.locator("[role=option]").first.wait_for()
        finder = page.locator("#finder")
        assert finder.get_attribute("aria-expanded") == "true"
        active = finder.get_attribute("aria-activedescendant")
        assert page.locator(f"#{active}").get_attribute("aria-selected") == "true"
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        page.locator(".like .name", has_text="björk").wait_for()
        assert page.evaluate("document.activeElement.id") == "finder"
        page.keyboard.type("rad")
        page.locator("[role=option]").first.wait_for()
        page.keyboard.press("Escape")
        assert finder.get_attribute("aria-expanded") == "false"
        page.keyboard.press("Escape")
        for _ in range(4):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.className") == "remove":
                break
        page.keyboard.press("Enter")
        page.locator(".examples").wait_for()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_a_name(browser, address, name):
    with opened(browser, address) as page:
        page.locator("#finder").fill(name[:150])
        page.locator("[role=option]").first.wait_for()
        page.keyboard.press("Enter")
        page.locator(".item").first.wait_for()
        assert page.locator(".like [name=artist]").input_value() == name
        page.locator(".like .name").click()
        page.locator("article.artist").wait_for()
        assert page.locator("h1").text_content() == name
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1280])
def test_no_violation_of_accessibility_and_no_overflow(browser, address, width, scheme):
    reason = "axe-core is not installed: see extra browser-test"
    axe = pytest.importorskip("axe_core_python.sync_playwright", reason=reason)
    question = "?artist=sigur+rós&plays=30&artist=björk&artist=bjorkk&not=radiohead"
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    for path in ("", question, "artist?name=björk", "data"):
        with opened(browser, address, path, **options) as page:
            if page.locator(".copies").count():
                page.locator(".copies summary").click()
                page.locator("[data-similar]").first.click()
                page.locator(".similar").wait_for()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            found = axe.Axe().run(page)["violations"]
        assert [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in found] == []


def test_without_javascript_the_form_works(browser, address):
    with opened(browser, address, java_script_enabled=False) as page:
        page.get_by_label("Artist 1", exact=True).fill("björk")
        page.get_by_label("Artist 2", exact=True).fill("nobody of the name")
        page.get_by_role("button", name="Recommend").click()
        assert page.locator(".item").count() == 20
        assert "nobody of the name" in page.locator(".note").inner_text()
        page.get_by_role("link", name="Remove björk").click()
        assert page.locator(".like").count() == 1


def test_a_history_is_matched_and_what_is_not_known_is_shown(browser, address, tmp_path: Path):
    plays = [
        {"artistName": name, "trackName": "x"} for name in ["Björk"] * 3 + ["Radiohead"] + ["Nobody <b>"] * 2
    ]
    file = tmp_path / "StreamingHistory.json"
    file.write_text(json.dumps(plays))
    with opened(browser, address) as page:
        page.locator(".history summary").click()
        page.locator("#files").set_input_files(file)
        page.locator(".like .name", has_text="radiohead").wait_for()
        assert page.get_by_label("Plays of björk").input_value() == "3"
        assert page.locator("#history li").all_inner_texts() == ["Nobody <b> (2)"]
