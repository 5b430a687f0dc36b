"""The profile's page in a real browser, cut off from any network: it draws all its charts and asks for nothing."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from making import make_dataset, random_plays
from serving import HOSTILE

from lastfm_dask.profile.page import write_page
from lastfm_dask.profile.receipts import open_profile

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Draws are counted on the canvases themselves: those of the page's charts, each with something on it.
COUNT = """
<script>
window.addEventListener("load", () => setTimeout(() => {
  const roots = [document];
  let drawn = 0;
  for (const root of roots) {
    for (const element of root.querySelectorAll("*")) {
      if (element.shadowRoot) roots.push(element.shadowRoot);
      if (element.tagName === "CANVAS" && element.width > 0) {
        const data = element.getContext("2d").getImageData(0, 0, element.width, element.height).data;
        if (data.some((value, i) => i % 4 === 3 && value > 0)) drawn += 1;
      }
    }
  }
  const fetched = performance.getEntriesByType("resource").length;
  document.body.dataset.seen = JSON.stringify({drawn, fetched, wide: document.documentElement.scrollWidth});
}, 1500));
</script>
</body>
"""


def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium or Chrome is installed: the page is not looked at in a browser")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 500])
def test_every_chart_is_drawn_and_nothing_is_fetched(width, tmp_path):
    program = browser()
    dataset = make_dataset(tmp_path / "d.dataset", random_plays(n_users=300, n_artists=80))
    file = tmp_path / "page.html"
    write_page(open_profile(dataset.path), file)
    file.write_text(file.read_text(encoding="utf-8").replace("</body>", COUNT), encoding="utf-8")
    command = [
        program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'browser'}",
        "--virtual-time-budget=10000", f"--window-size={width},1000", "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    marker = 'data-seen="'
    assert marker in done.stdout, done.stderr[-2000:]
    text = done.stdout.partition(marker)[2].partition('"')[0].replace("&quot;", '"')
    seen = json.loads(text)
    assert seen["drawn"] >= 4, seen
    assert seen["fetched"] == 0, seen
    assert seen["wide"] <= width, seen


@pytest.mark.slow
def test_hostile_names_stay_text_and_nobody_is_asked(tmp_path):
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: see browser-test"
    )
    program = browser()
    artists = [*HOSTILE, *(f"artist {j}" for j in range(len(HOSTILE), 60))]
    # The hostile ones have the most listeners, so that they are in the tables and the charts.
    plays = random_plays(n_users=200, n_artists=60).tolil()
    plays[:, : len(HOSTILE)] = 5
    dataset = make_dataset(tmp_path / "d.dataset", plays.tocsr(), artists=artists)
    file = tmp_path / "page.html"
    write_page(open_profile(dataset.path), file)
    wrong: list[str] = []
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = found.new_page(viewport={"width": 390, "height": 844})
        page.on("dialog", lambda dialog: wrong.append(dialog.message) or dialog.dismiss())
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda one: wrong.append(one.url) if one.url.startswith("http") else None)
        page.goto(file.as_uri())
        page.wait_for_timeout(1500)
        names = page.locator(".top li span").all_text_contents()
        asked = list(wrong)
        width = page.evaluate("document.documentElement.scrollWidth")
        # The page's own policy forbids what would be asked if somebody got something in.
        blocked = page.evaluate(
            """() => new Promise((tell) => {
                document.addEventListener("securitypolicyviolation", (event) => tell(event.blockedURI));
                const image = document.createElement("img");
                image.src = "https://example.org/x.png";
                document.body.append(image);
            })"""
        )
        found.close()
    assert set(HOSTILE) <= set(names)
    assert width == 390
    assert (blocked, asked) == ("https://example.org/x.png", [])


@pytest.mark.slow
def test_charts_are_dark_in_the_dark_and_light_on_paper(tmp_path):
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: see browser-test"
    )
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed: it comes with bokeh")
    program = browser()
    dataset = make_dataset(tmp_path / "d.dataset", random_plays(n_users=200, n_artists=60))
    file = tmp_path / "page.html"
    write_page(open_profile(dataset.path), file)
    brightness = {}
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for scheme, media in (("light", "screen"), ("dark", "screen"), ("dark", "print")):
            page = found.new_page(color_scheme=scheme)
            page.emulate_media(media=media, color_scheme=scheme)
            page.goto(file.as_uri())
            page.wait_for_timeout(1500)
            picture = tmp_path / f"{scheme}-{media}.png"
            page.locator(".card:has([data-root-id])").first.screenshot(path=picture)
            grey = image.open(picture).convert("L").tobytes()
            brightness[scheme, media] = sorted(grey)[len(grey) // 2]
        found.close()
    assert brightness["light", "screen"] > 150
    assert brightness["dark", "screen"] < 110
    assert brightness["dark", "print"] > 150
