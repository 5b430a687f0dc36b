"""What `profile` shows of a dataset: the table, and the page."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner
from making import make_dataset, random_plays

from lastfm_dask.cli.profile import command
from lastfm_dask.dataset import layout
from lastfm_dask.dataset.dataset import Dataset
from lastfm_dask.errors import BadInputError, StoreError
from lastfm_dask.profile.page import render, write_page
from lastfm_dask.profile.receipts import as_json, exceeded, open_profile

MIB = 1 << 20
NASTY = '</script><img src="http://evil.example/x">&amp;'


class Page(HTMLParser):
    """Tags with their attributes, ids, and the text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag):
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data):
        if self._inside not in ("script", "style"):
            self.text += data

    @property
    def ids(self):
        return {attrs["id"] for _, attrs in self.tags if "id" in attrs}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    plays = random_plays(n_users=300, n_artists=80)
    artists = [NASTY, *(f"artist {j}" for j in range(1, 80))]
    return make_dataset(tmp_path_factory.mktemp("data") / "small.dataset", plays, artists=artists)


@pytest.fixture(scope="module")
def html(dataset):
    return render(open_profile(dataset.path))


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_the_page_has_every_section(page):
    assert {"time-line", "stages", "popularity", "listeners", "reconciliation"} <= page.ids


def test_the_page_asks_for_nothing_from_elsewhere(html, page):
    for tag, attrs in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "img", "base", "video", "audio", "source"), (
            tag
        )
        assert not {"src", "href", "srcset", "data", "action", "poster"} & set(attrs), (tag, attrs)
    (policy,) = [attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv")]
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style


def test_names_from_data_stay_text(html, page, dataset):
    assert dataset.statistics["top_artists"][0]["artist"] == NASTY
    assert NASTY in page.text
    # Nor does the name end the script that the charts' data stand in.
    assert NASTY not in html
    assert sum(tag == "script" for tag, _ in page.tags) == html.count("</script>")


def test_the_numbers_are_the_manifests(page, dataset):
    statistics = dataset.statistics
    for name in ("rows_read", "users", "artists", "nnz", "plays_total"):
        assert f"{statistics[name]:,}" in page.text
    assert dataset.fingerprint in page.text
    for entry in statistics["top_artists"][1:10]:
        assert f"{entry['artist']}{entry['listeners']:,}" in page.text
    by_user = np.diff(dataset.user_items.indptr)
    half = f"{np.median(by_user):,.1f}".removesuffix(".0")
    assert (
        f"Half of {len(by_user)} users have at least {half} artists; the most are {by_user.max()}."
        in page.text
    )
    listeners = np.sort(np.bincount(dataset.user_items.indices))[::-1]
    n_half = int(np.searchsorted(np.cumsum(listeners), listeners.sum() / 2)) + 1
    assert f"Half of all rows belong to {n_half} of {len(listeners)} artists" in page.text


def test_the_ledger_adds_up_or_says_that_it_does_not(dataset, page):
    assert "is accounted for" in page.text
    profile = open_profile(dataset.path)
    profile.manifest.content["reconciliation"] = {
        "rows_read": 100,
        "rows_kept": 90,
        "rejects": {"field_count": 6, "empty_user": 4},
        "rows_added": 3,
        "users_added": 1,
        "rows_summed": 2,
        "nnz": 91,
        "n_users_not_sha1": 1,
        "users_not_sha1": [{"user": NASTY, "rows": 5}],
        "lines": {"a.tsv": 60, "b.tsv": 40},
        "published": [{"figure": "lines", "published": 17, "found": 100, "why": "another"}],
        "n_artists_with_several_mbids": 1,
        "artists_with_several_mbids": [{"artist": "x & y", "n_mbids": 2}],
    }
    text = Page(render(profile)).text
    assert "is accounted for" in text
    for words in ("− 6", "+ 3", "− 2", "a.tsv", "x & y", "another", "user ids are not SHA-1", NASTY):
        assert words in text
    profile.manifest.content["reconciliation"]["nnz"] = 92
    assert "do not add up" in Page(render(profile)).text


def test_a_stage_that_broke_its_projection_is_marked(dataset, page):
    profile = open_profile(dataset.path)
    assert exceeded(profile) == []
    assert "Every stage kept to its projection" in page.text
    stage = profile.stages[1]
    stage["measured_bytes"] = stage["projected_bytes"] + MIB
    (line,) = exceeded(profile)
    assert "stage assemble" in line
    assert str(stage["measured_bytes"]) in line
    html = render(profile)
    assert "Every stage kept" not in html
    assert 'class="bar over"' in html
    stage["measured_bytes"] = profile.document["allowed_bytes"] + 1
    assert len(exceeded(profile)) == 2


def test_workers_have_a_table_of_their_own(dataset):
    profile = open_profile(dataset.path)
    address = "tcp://10.0.0.7:4000"
    profile.document["workers"] = {
        address: {"address": address, "n_blocks": 1234, "peak_held_bytes": 90 * MIB}
    }
    page = Page(render(profile))
    assert "workers" in page.ids
    assert address in page.text
    assert "1,234" in page.text


def test_a_file_is_replaced_whole_and_nothing_else_is_left(dataset, tmp_path):
    file = tmp_path / "report.html"
    file.write_text("old")
    write_page(open_profile(dataset.path), file)
    assert file.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(StoreError, match="choose a folder"):
        write_page(open_profile(dataset.path), tmp_path / "missing" / "report.html")


def test_without_bokeh_the_extra_is_named(dataset, monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh.embed", None)
    with pytest.raises(BadInputError, match=r"lastfm_dask\[profile\]"):
        render(open_profile(dataset.path))


def test_receipts_that_say_nothing_are_refused(tmp_path):
    broken = make_dataset(tmp_path / "a.dataset", random_plays(20, 10))
    file = broken.path / layout.RECEIPTS
    for text in ("[]", "{}", '{"stages": []}', '{"stages": [{"stage": "scan"}]}', "{"):
        manifest = {"checksum": "", **json.loads((broken.path / layout.MANIFEST).read_text())}
        file.write_text(text)
        manifest["files"][layout.RECEIPTS]["size_bytes"] = len(text)
        del manifest["checksum"]
        (broken.path / layout.MANIFEST).write_text(json.dumps(manifest))
        with pytest.raises(StoreError, match="receipts"):
            open_profile(broken.path)


def test_a_dataset_made_of_a_matrix_has_no_stage_to_show_and_is_not_called_damaged(tmp_path):
    made = Dataset.from_csr(random_plays(20, 10), range(20), range(10), tmp_path / "own.dataset")
    with pytest.raises(StoreError, match=r"from_csr.*lastfm-dask stats") as caught:
        open_profile(made.path)
    assert "damaged" not in str(caught.value)


def test_the_command_shows_a_table(dataset):
    result = CliRunner().invoke(command, [str(dataset.path)])
    assert result.exit_code == 0, result.output
    for words in ("scan", "assemble", "128.0 MiB", "--memory", "pooled", "83 %", "73 %"):
        assert words in result.output


def test_the_command_marks_what_exceeded(dataset, monkeypatch):
    profile = open_profile(dataset.path)
    profile.stages[0]["measured_bytes"] = 2 * profile.stages[0]["projected_bytes"]
    monkeypatch.setattr("lastfm_dask.profile.receipts.open_profile", {dataset.path: profile}.get)
    result = CliRunner().invoke(command, [str(dataset.path)])
    assert result.exit_code == 0
    assert "200 % !" in result.output
    assert "stage scan exceeded what was projected" in result.output


def test_the_command_prints_json_and_writes_the_page(dataset, tmp_path):
    file = tmp_path / "p.html"
    result = CliRunner().invoke(command, [str(dataset.path), "--html", str(file), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert [stage["stage"] for stage in found["stages"]] == ["scan", "assemble"]
    assert (found["kind"], found["exceeded"], found["html"]) == ("dataset", [], str(file))
    assert "samples" not in found["stages"][0]
    assert file.stat().st_size > 100_000


def test_a_model_has_a_page_too(dataset, tmp_path):
    from lastfm_dask.training.settings import TrainSettings
    from lastfm_dask.training.train import train

    settings = TrainSettings(factors=7, iterations=2)
    profile = open_profile(train(dataset, tmp_path / "m.model", settings, threads=1).path)
    page = Page(render(profile))
    assert {"time-line", "stages", "popularity", "listeners"} <= page.ids
    assert "reconciliation" not in page.ids
    for words in ("model profile", "7factors", "2iterations", "prepare", "fit", profile.manifest.fingerprint):
        assert words in page.text
    assert [stage["stage"] for stage in as_json(profile)["stages"]] == ["prepare", "fit"]
