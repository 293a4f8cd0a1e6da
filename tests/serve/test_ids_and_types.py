"""Ids that are garbled, values of wrong types, and JSON that is no UTF-8."""

import json

import pytest
from test_access import ABSENT, MATRIX

GARBLED = [
    "x",
    "../../etc/passwd",
    "' OR 1=1 --",
    "0" * 31,
    "0" * 33,
    ABSENT.upper() + "A",
    "\u00e9",
    "0" * 5000,
    "\x00",
    "*",
]
"""None is the id of anything, or could be."""
ABSENT_IDS = {"crop": ABSENT, "case": "0" * 16, "recording": ABSENT, "name": "none", "job": "none", "hold": "none"}
ABSENT_IDS |= {"token": "none"}
WRONG = [None, True, "7", "", 7, -1, 1.5, 10**30, [], [[]], {}, [{"a": [None]}], "\x00", [None], ["x"] * 3, "\ud800"]
"""Values some of which are wrong wherever they stand."""


def send(server, route, ids, body=None):
    method, path = route.split(" ")
    from urllib.parse import quote

    place = path.format(gallery="people", **{name: quote(value, safe="") for name, value in ids.items()})
    kind = MATRIX[route][2]
    if kind in ("file", "files"):
        return server.client.request(method, place, files={kind: ("x", b"x")})
    return server.client.request(method, place, json=kind if body is None else body)


@pytest.mark.parametrize("garbled", GARBLED, ids=range(len(GARBLED)))
def test_a_garbled_id_is_answered_like_one_that_is_not_there(server, garbled):
    for route, (_, _, body) in MATRIX.items():
        for name in ABSENT_IDS:
            if "{" + name + "}" in route:
                absent, wrong = send(server, route, ABSENT_IDS), send(server, route, {**ABSENT_IDS, name: garbled})
                assert absent.status_code == 404, (route, absent.text)
                # An address may end sooner by a stroke or a zero; then there is no such route.
                assert (wrong.status_code, wrong.text) == (404, absent.text) or "/" in garbled, (route, wrong.text)
        for name, some in (("crops", list), ("recording", str)):
            if isinstance(body, dict) and name in body:
                bodies = [{**body, name: some([each]) if some is list else each} for each in (ABSENT, garbled)]
                absent, wrong = (send(server, route, ABSENT_IDS, each) for each in bodies)
                assert (wrong.status_code, wrong.text) == (404, absent.text), (route, wrong.text)
    for body in ({"more_like": [garbled]}, {"sentences": ["x"], "less_like": [garbled]}, {"pictures": [garbled]},
                 {"sentences": ["x"], "case": garbled}, {"saved": garbled[:100]}):  # fmt: skip
        answer = server.client.post("/v1/galleries/people/search", json=body)
        assert answer.status_code in (404, 422 if "saved" in body else 404), (body, answer.text)


def test_values_of_wrong_types_are_refused_by_the_field_and_never_a_fault(serve, tmp_path):
    server = serve(folders=(tmp_path,))
    schemas = server.app.openapi()
    tried = 0
    for route, (_, _, body) in MATRIX.items():
        method, path = route.split(" ")
        told = schemas["paths"][path][method.lower()].get("requestBody", {}).get("content", {}).get("application/json")
        if told is None or route.endswith(("/approximate", "/calibrate", "/rebuild")):
            continue
        fields = schemas["components"]["schemas"][told["schema"]["$ref"].rpartition("/")[2]]["properties"]
        for field, schema in fields.items():
            kinds = {each.get("type") for each in schema.get("anyOf", [schema])}
            for value in WRONG:
                content = json.dumps({**(body or {}), field: value}).encode()
                answer = server.client.request(
                    method,
                    path.format(gallery="people", **ABSENT_IDS),
                    content=content,
                    headers={"Content-Type": "application/json"},
                )
                (server.state / "tokens.json").unlink(missing_ok=True)  # some bodies make one
                assert answer.status_code < 500, (route, field, value, answer.text)
                number, word = isinstance(value, int | float) and value is not True, isinstance(value, str)
                if (word and kinds <= {"integer", "number", "boolean", "null"}) or (
                    number and kinds <= {"string", "null"}
                ):
                    assert answer.status_code in (404, 422), (route, field, value, answer.text)
                    if answer.status_code == 422:
                        assert field in answer.json()["error"], (route, field, value, answer.text)
                tried += 1
    assert tried > 500
    for rule in ({"days": "1"}, {"days": None}, {"days": 1, "camera": "\ud800"}, {"days": 1, "camera": 7}, {"day": 1}):
        content = json.dumps({"rules": [rule]}).encode()
        headers = {"Content-Type": "application/json"}
        answer = server.client.put("/v1/galleries/people/retention", content=content, headers=headers)
        assert answer.status_code == 422 and "rules.0" in answer.json()["error"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "utf-8-sig"])
def test_json_is_utf_8(server, encoding):
    content = '{"sentences": ["a man in a caf\u00e9"]}'.encode(encoding)
    for kind in (
        f"application/json; charset={encoding}",
        f'Application/JSON; Charset="{encoding}"',
        "application/json",
    ):
        answer = server.client.post("/v1/galleries/people/search", content=content, headers={"Content-Type": kind})
        expected = (200, 400, 415) if encoding == "utf-8-sig" else (400, 415)
        assert answer.status_code in expected, (kind, answer.text)
        if encoding.startswith(("utf-16", "utf-32")):
            assert answer.status_code == 415 and "UTF-8" in answer.json()["error"]
    for kind in (
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
    ):
        body = json.dumps({"sentences": ["a man in a caf\u00e9"]}, ensure_ascii=False).encode()
        assert server.client.post(
            "/v1/galleries/people/search", content=body, headers={"Content-Type": kind}
        ).status_code == 200  # fmt: skip


@pytest.mark.parametrize(
    "header",
    ["x" * 10_000, "Bearer " + "x" * 10_000, "Bearer", "Bearer pickout_", "pickout_a_b", "Bearer  ", "Basic eDp5",
     "Bearer pickout_a_b_c_d", "Bearer \u00e9", "Bearer a b c", ",", "Bearer pickout_" + "0" * 8 + "_" + "x" * 5000],
)  # fmt: skip
def test_whatever_is_no_token_is_401(serve, header):
    server = serve(failures=1000)
    server.token("search")
    for place in ("/v1/galleries", "/v1/galleries/people/watches/x/events"):
        answer = server.client.get(place, headers={"Authorization": header.encode("latin-1")})
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer", answer.text


def test_a_token_is_for_what_there_is(server):
    for body in ({"galleries": ["nothing"]}, {"galleries": ["people", "peopel"]}):
        answer = server.client.post("/v1/tokens", json={"name": "x", "roles": ["search"], **body})
        assert answer.status_code == 422 and "there are other, people" in answer.json()["error"]
    for body in ({"galleries": []}, {"cameras": []}, {"roles": []}, {"cameras": [""]}):
        answer = server.client.post("/v1/tokens", json={"name": "x", "roles": ["search"], **body})
        assert answer.status_code == 422 and min(body) in answer.json()["error"]
    assert server.client.get("/v1/tokens").json() == {"tokens": []}
