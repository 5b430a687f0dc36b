"""The API of `serve`: answers are those of the Recommender, bounds hold, and errors say what to do."""

from __future__ import annotations

import asyncio
import json

import pytest
from markupsafe import escape
from serving import HOSTILE, PLAN, client, served_model

from lastfm_dask import Recommender
from lastfm_dask.serve import questions
from lastfm_dask.serve.guard import HEADERS, Access
from lastfm_dask.serve.opened import shape_of
from lastfm_dask.serve.plan import plan_next

LIKES = {"sigur rós": 30, "björk": 12}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return served_model(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def model(path):
    return Recommender(path)


@pytest.fixture(scope="module")
def api(path):
    with client(path) as found:
        yield found


def test_recommend_is_what_the_command_prints(api, model):
    answer = api.post("/api/recommend", json={"likes": LIKES, "n": 5})
    assert answer.status_code == 200
    assert answer.json() == model.recommend(likes=LIKES, n=5).to_dict()
    by_query = api.get("/api/recommend", params={"like": ["sigur rós=30", "björk=12"], "n": 5})
    assert by_query.json() == answer.json()


def test_filters_are_the_commands(api, model):
    wanted = model.recommend(likes=["björk"], n=3, exclude=["radiohead"], min_listeners=2, max_listeners=11)
    asked = {"likes": ["björk"], "n": 3, "exclude": ["Radiohead"], "min_listeners": 2, "max_listeners": 11}
    assert api.post("/api/recommend", json=asked).json() == wanted.to_dict()


def test_reasons_are_the_explanations_of_each_artist(api, model):
    answer = api.post("/api/recommend", json={"likes": LIKES, "n": 4, "explain": True}).json()
    assert len(answer["items"]) == 4
    for item in answer["items"]:
        wanted = model.explain(item["artist"], likes=LIKES).to_dict()["contributions"]
        assert [one["artist"] for one in item["contributions"]] == [one["artist"] for one in wanted]
        assert sum(one["contribution"] for one in item["contributions"]) == pytest.approx(item["score"])


def test_similar_explain_and_score_are_the_commands(api, model):
    assert (
        api.get("/api/similar", params={"artist": "Björk", "n": 3}).json()
        == model.similar("björk", 3).to_dict()
    )
    asked = {"artist": "radiohead", "likes": LIKES}
    wanted = model.explain("radiohead", likes=LIKES).to_dict()
    assert api.post("/api/explain", json=asked).json() == wanted
    assert (
        api.get("/api/explain", params={"artist": "radiohead", "like": ["sigur rós=30", "björk=12"]}).json()
        == wanted
    )
    asked = {"artists": ["radiohead", "the beatles"], "likes": LIKES, "vectors": True}
    wanted = model.score(asked["artists"], likes=LIKES, vectors=True).to_dict()
    assert api.post("/api/score", json=asked).json() == wanted


def test_artists_are_found_while_typing(api, model):
    answer = api.get("/api/artists", params={"q": "SIGUR R"}).json()
    [found] = answer["artists"]
    assert found == {"artist": "sigur rós", "listeners": int(model.listeners[0])}
    assert answer["near"] is False
    near = api.get("/api/artists", params={"q": "sigor roz"}).json()
    assert (near["near"], near["artists"][0]["artist"]) == (True, "sigur rós")
    most = api.get("/api/artists", params={"n": 3}).json()["artists"]
    assert [one["listeners"] for one in most] == sorted(model.listeners.tolist(), reverse=True)[:3]


def test_the_model_and_the_probes(api, model):
    facts = api.get("/api/model").json()
    assert {key: facts[key] for key in ("model", "users", "artists", "factors")} == {
        "model": "lastfm.model",
        "users": model.n_users,
        "artists": model.n_artists,
        "factors": 8,
    }
    assert api.get("/healthz").status_code == api.get("/readyz").status_code == 200


def test_a_map_lies_within_its_frame(api):
    points = api.post("/api/map", json={"artists": ["björk", "radiohead", "the beatles"]}).json()["points"]
    assert [point["artist"] for point in points] == ["björk", "radiohead", "the beatles"]
    assert all(0 <= point[axis] <= 1 for point in points for axis in "xy")


def test_a_label_lies_within_the_map_on_the_side_that_covers_least():
    from lastfm_dask.serve.neighbourhood import HEIGHT, WIDTH, place_labels

    corners = [(70, 40), (930, 40), (70, 860), (930, 860), (930, 450)]
    for label in place_labels(corners, [16] * 5, ["múm", "mmmmmmmmmmmmmmmmmmmmm…", "il", "x" * 22, "чайф"]):
        left, top, right, bottom = label.box
        assert 0 < left < right < WIDTH
        assert 0 < top < bottom < HEIGHT


def test_a_history_is_matched_without_case_and_accents(api):
    answer = api.post("/api/history", content="artist,track\nSigur Ros,a\nSIGUR RÓS,b\nNobody,c\n").json()
    assert answer["matched"] == [{"artist": "sigur rós", "plays": 2}]
    assert answer["unmatched"] == [{"name": "Nobody", "plays": 1}]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_can_be_asked_and_is_escaped_on_the_pages(api, name):
    assert api.get("/api/similar", params={"artist": name}).json()["artist"] == name
    answer = api.post("/api/recommend", json={"likes": {name: 3}}).json()
    assert answer["like"] == [{"artist": name, "plays": 3}]
    for page in ("/", "/artist"):
        text = api.get(page, params={"artist": name, "name": name}).text
        assert f"<bdi>{escape(name)}</bdi>" in text
        assert "<script>alert" not in text
        assert "<img" not in text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"[1]", "a list"),
        (b"{", "not JSON"),
        (b"[" * 50_000, "not JSON"),
        (b"\xff", "not JSON"),
        (b'{"n": NaN, "likes": {"a": 1}}', "NaN"),
        (b"{}", "likes is missing"),
        (b'{"likes": {}}', "likes is missing"),
        (b'{"likes": 3}', "likes is a number"),
        (b'{"likes": {"bj\\u00f6rk": 0}}', "plays"),
        (b'{"likes": {"bj\\u00f6rk": true}}', "plays"),
        (b'{"likes": {"bj\\u00f6rk": 1.5}}', "plays"),
        (b'{"likes": {"bj\\u00f6rk": 1' + b"0" * 400 + b"}}", "plays"),
        (b'{"likes": {" ": 1}}', "1 to 1000"),
        (b'{"likes": ["a"], "n": 0}', "n is 0"),
        (b'{"likes": ["a"], "n": 101}', "1 to 100"),
        (b'{"likes": ["a"], "user": "x"}', "'user' is not known"),
        (b'{"likes": ["a"], "explain": "yes"}', "true or false"),
        (json.dumps({"likes": ["a"] * 101}).encode(), "allowed are 100"),
        (json.dumps({"likes": ["a" * 1001]}).encode(), "1 to 1000"),
    ],
)
def test_a_body_that_is_not_a_question_is_refused(api, body, words):
    answer = api.post("/api/recommend", content=body)
    assert answer.status_code == 400
    assert answer.json()["status"] == 400
    assert answer.json()["code"] in ("bad_json", "bad_input")
    assert words in answer.json()["message"]


@pytest.mark.parametrize(
    ("route", "status", "code"),
    [
        ("/api/similar?artist=bjorc", 404, "unknown_name"),
        ("/api/similar", 400, "bad_input"),
        ("/api/similar?artist=a&artist=b", 400, "bad_input"),
        ("/api/similar?artist=bj%C3%B6rk&n=x", 400, "bad_input"),
        ("/api/artists?m=3", 400, "bad_input"),
        ("/api/recommend?like=a%3Dx", 400, "bad_input"),
        ("/api/nothing", 404, "not_found"),
        ("/static/../opened.py", 404, "not_found"),
        ("/static/%2e%2e%2fopened.py", 404, "not_found"),
        ("/static//etc/passwd", 404, "not_found"),
    ],
)
def test_other_errors_have_a_status_and_a_code(api, route, status, code):
    answer = api.get(route)
    assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (status, status, code)


def test_an_unknown_name_comes_with_near_ones(api):
    answer = api.get("/api/similar", params={"artist": "bjorkk"}).json()
    assert (answer["name"], answer["near"][0]) == ("bjorkk", "björk")
    unknown = api.post("/api/recommend", json={"likes": ["bjorkk"]}).json()
    assert (unknown["fallback"], unknown["unknown"][0]["near"][0]) == ("popularity", "björk")
    assert api.post("/api/recommend", content=b'{"likes": ["\\ud800"]}').json()["unknown"][0]["near"] == []


def test_sizes_are_bounded(api):
    large = b'{"likes": {"' + b"a" * questions.MAX_BODY_BYTES + b'": 1}}'
    assert api.post("/api/recommend", content=large).status_code == 413
    assert api.post("/api/recommend", content=iter([large])).json()["code"] == "body_too_large"
    assert api.get(f"/api/artists?q={'a' * questions.MAX_QUERY_BYTES}").status_code == 414


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "192.168.1.7", "Named:1"]
)
def test_a_host_that_is_an_address_or_named_is_answered(host):
    assert Access(frozenset({"named"})).allows_host(host)


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil", "[evil]"]
)
def test_any_other_host_is_refused(api, host):
    answer = api.get("/api/model", headers={"host": host})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_host")


def test_every_answer_has_the_headers_and_none_allows_another_origin(api):
    for route in ("/", "/api/model", "/nothing", "/metrics", "/static/page.js"):
        headers = api.get(route, headers={"origin": "https://other.example"}).headers
        assert {name: headers[name] for name in HEADERS} == HEADERS
        assert "access-control-allow-origin" not in headers


def test_an_origin_that_is_named_may_read(path):
    with client(path, Access(origins=frozenset({"https://a.example"}))) as api:
        allowed = api.get("/api/model", headers={"origin": "https://a.example"})
        assert allowed.headers["access-control-allow-origin"] == "https://a.example"
        assert (
            "access-control-allow-origin"
            not in api.get("/api/model", headers={"origin": "https://b.example"}).headers
        )
        asked = {"origin": "https://a.example", "access-control-request-method": "POST"}
        assert api.options("/api/recommend", headers=asked).status_code == 204


def test_more_requests_than_allowed_are_sent_away_but_for_probes(api):
    metrics = api.service.metrics
    metrics.in_flight += PLAN.max_requests
    try:
        busy = api.get("/api/model")
        assert (busy.status_code, busy.headers["retry-after"], busy.json()["code"]) == (503, "1", "busy")
        assert api.get("/healthz").status_code == api.get("/metrics").status_code == 200
    finally:
        metrics.in_flight -= PLAN.max_requests
    assert metrics.in_flight == 0


def test_metrics_count_what_was_asked(path):
    with client(path) as api:
        api.get("/api/model")
        api.get("/nothing-of-the-kind")
        lines = api.get("/metrics").text.splitlines()
        planned = plan_next(PLAN, shape_of(api.service.opened.model))
    assert 'lastfm_dask_serve_requests_total{route="/api/model",method="GET",status="200"} 1' in lines
    assert 'lastfm_dask_serve_requests_total{route="other",method="GET",status="404"} 1' in lines
    assert 'lastfm_dask_serve_request_seconds_count{route="/api/model"} 1' in lines
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert int(values["lastfm_dask_serve_measured_bytes"]) > 1 << 20
    assert int(values["lastfm_dask_serve_projected_bytes"]) == planned.projected_bytes


def test_a_new_model_is_taken_up_and_a_damaged_one_is_not(tmp_path):
    first, second = served_model(tmp_path / "a"), served_model(tmp_path / "b", n_artists=70, seed=1)
    link = tmp_path / "current"
    link.symlink_to(first)
    with client(link) as api:
        assert api.get("/api/model").json()["artists"] == 60
        (tmp_path / "next").symlink_to(second)
        (tmp_path / "next").replace(link)
        assert asyncio.run(api.service.reload())
        assert api.get("/api/model").json()["artists"] == 70
        (second / "manifest.json").write_text("{")
        assert not asyncio.run(api.service.reload())
        assert api.get("/api/model").json()["artists"] == 70
        assert api.post("/api/recommend", json={"likes": ["björk"]}).status_code == 200
