"""Who may do what: every route against every kind of token, and tokens themselves."""

import json
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from small_server import result_of

from pickout.errors import AccessDenied, NotKnown, NotThere, ServerBusy, UsageError
from pickout.serve.access import OWNER, TOKENS, Action, Actor, Role, Tokens, permit

SOON = datetime.now(UTC) + timedelta(days=1)
ABSENT = "0" * 32

SEARCH, INDEX, AUDIT, ADMIN = ({"search", "admin"}, {"index", "admin"}, {"audit"}, {"admin"})
ANYONE = {"search", "index", "audit", "admin"}
# Every route: who may, whether it concerns a whole gallery, and a body. A route that is missing here fails a test.
MATRIX = {
    "GET /v1/health": (ANYONE | {None}, False, None),
    "GET /v1/ready": (ANYONE, False, None),
    "GET /v1/metrics": (ADMIN | AUDIT, False, None),
    "GET /v1/me": (ANYONE, False, None),
    "GET /v1/galleries": (ANYONE, False, None),
    "GET /v1/galleries/{gallery}": (SEARCH, False, None),
    "POST /v1/galleries/{gallery}/parse": (SEARCH, False, {"sentence": "a man"}),
    "POST /v1/galleries/{gallery}/search": (SEARCH, False, {"sentences": ["a man"]}),
    "POST /v1/galleries/{gallery}/pictures": (SEARCH, False, "file"),
    "GET /v1/galleries/{gallery}/crops/{crop}": (SEARCH, False, None),
    "GET /v1/galleries/{gallery}/crops/{crop}/thumbnail": (SEARCH, False, None),
    "GET /v1/galleries/{gallery}/crops/{crop}/original": (SEARCH, False, None),
    "GET /v1/galleries/{gallery}/crops/{crop}/frame": (SEARCH, False, None),
    "POST /v1/galleries/{gallery}/crops/{crop}/explain": (SEARCH, False, {"sentence": "a man"}),
    "GET /v1/galleries/{gallery}/saved": (SEARCH, False, None),
    "POST /v1/galleries/{gallery}/saved": (SEARCH, False, {"name": "x", "sentences": ["a man"]}),
    "DELETE /v1/galleries/{gallery}/saved/{name}": (SEARCH, False, None),
    "GET /v1/galleries/{gallery}/watches": (SEARCH, False, None),
    "POST /v1/galleries/{gallery}/watches": (SEARCH, False, {"name": "x", "search": "no", "false_alarms_a_day": 1}),
    "DELETE /v1/galleries/{gallery}/watches/{name}": (SEARCH, False, None),
    "GET /v1/galleries/{gallery}/watches/{name}/alarms": (SEARCH, False, None),
    "GET /v1/galleries/{gallery}/watches/{name}/events": (SEARCH, False, None),
    "GET /v1/galleries/{gallery}/cases": (SEARCH, False, None),
    "POST /v1/galleries/{gallery}/cases": (SEARCH, False, {"name": "x"}),
    "GET /v1/galleries/{gallery}/cases/{case}": (SEARCH, False, None),
    "DELETE /v1/galleries/{gallery}/cases/{case}": (SEARCH, False, None),
    "POST /v1/galleries/{gallery}/cases/{case}/marks": (SEARCH, False, {"crops": [ABSENT], "verdict": "no"}),
    "POST /v1/galleries/{gallery}/cases/{case}/notes": (SEARCH, False, {"text": "x"}),
    "POST /v1/galleries/{gallery}/cases/{case}/redactions": (SEARCH, False, {"crops": [ABSENT]}),
    "POST /v1/galleries/{gallery}/cases/{case}/archive": (SEARCH, False, {}),
    "GET /v1/galleries/{gallery}/site": (SEARCH, False, None),
    "PUT /v1/galleries/{gallery}/site": (ADMIN, True, {"cameras": {}}),
    "GET /v1/galleries/{gallery}/site/image": (SEARCH, False, None),
    "PUT /v1/galleries/{gallery}/site/image": (ADMIN, True, "file"),
    "POST /v1/galleries/{gallery}/crops": (INDEX, False, "files"),
    "POST /v1/galleries/{gallery}/recordings": (INDEX, False, "bytes"),
    "GET /v1/galleries/{gallery}/recordings": (INDEX, False, None),
    "DELETE /v1/galleries/{gallery}/recordings/{recording}": (INDEX, False, None),
    "POST /v1/galleries/{gallery}/video": (INDEX, False, {"recording": ABSENT}),
    "POST /v1/galleries/{gallery}/index": (INDEX, True, {"folder": "/nowhere"}),
    "POST /v1/galleries/{gallery}/sample": (INDEX, True, None),
    "POST /v1/galleries/{gallery}/update": (INDEX, False, {"crops": [ABSENT], "track": "7"}),
    "POST /v1/galleries/{gallery}/remove": (ADMIN, False, {"crops": [ABSENT]}),
    "POST /v1/galleries/{gallery}/erase": (ADMIN, False, {"crops": [ABSENT]}),
    "GET /v1/galleries/{gallery}/state": (ADMIN, True, None),
    "POST /v1/galleries/{gallery}/verify": (ADMIN, True, None),
    "POST /v1/galleries/{gallery}/approximate": (ADMIN, True, {"off": True}),
    "POST /v1/galleries/{gallery}/compact": (ADMIN, True, None),
    "POST /v1/galleries/{gallery}/calibrate": (ADMIN, True, {"data": "table", "folder": "/nowhere"}),
    "POST /v1/galleries/{gallery}/rebuild": (ADMIN, True, {"model": "/nowhere"}),
    "POST /v1/galleries/{gallery}/export": (ADMIN, False, {"crops": [ABSENT]}),
    "POST /v1/galleries/{gallery}/import": (ADMIN, True, "file"),
    "GET /v1/jobs/{job}": (ANYONE, False, None),
    "DELETE /v1/jobs/{job}": (ANYONE, False, None),
    "GET /v1/galleries/{gallery}/retention": (ADMIN, True, None),
    "PUT /v1/galleries/{gallery}/retention": (ADMIN, True, {"rules": []}),
    "POST /v1/galleries/{gallery}/retention/enforce": (ADMIN, True, None),
    "POST /v1/galleries/{gallery}/holds": (ADMIN, True, {"reason": "x", "crops": [ABSENT]}),
    "DELETE /v1/galleries/{gallery}/holds/{hold}": (ADMIN, True, None),
    "GET /v1/galleries/{gallery}/audit": (AUDIT, True, None),
    "GET /v1/galleries/{gallery}/audit/head": (AUDIT, True, None),
    "POST /v1/galleries/{gallery}/audit/proof": (AUDIT, True, {"since": "x"}),
    "POST /v1/galleries/{gallery}/audit/verify": (AUDIT, True, {"heads": []}),
    "GET /v1/galleries/{gallery}/audit/crops/{crop}": (AUDIT, True, None),
    "GET /v1/tokens": (ADMIN, False, None),
    "POST /v1/tokens": (ADMIN, False, {"name": "x", "roles": ["search"], "days": 0.5, "galleries": ["people"]}),
    "DELETE /v1/tokens/{token}": (ADMIN, False, None),
}


def routes(server):
    """Every route as the OpenAPI tells it."""
    paths = server.app.openapi()["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def ask(server, route, headers, gallery="people", crop=ABSENT):
    method, path = route.split(" ")
    values = {"gallery": gallery, "crop": crop, "name": "none", "job": "none", "hold": "none", "token": "none"}
    values |= {"case": "0" * 16, "recording": ABSENT}
    body = MATRIX[route][2]
    if body in ("file", "files"):
        more = {"files": {body: ("x", b"x")}}
    elif body == "bytes":
        more = {"content": b"x"}
    else:
        if isinstance(body, dict) and "crops" in body:
            body = {**body, "crops": [crop]}
        more = {} if body is None else {"json": body}
    return server.client.request(method, path.format(**values), headers=headers, **more)


def test_the_matrix_knows_every_route(server):
    assert routes(server) == set(MATRIX)


def test_every_route_asks_for_a_token_once_there_is_one(server):
    server.token("admin")
    wrong = [
        None, {"Authorization": "Bearer "}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer pickout_00_x"},
    ]  # fmt: skip
    for route, (roles, _, _) in MATRIX.items():
        if None not in roles:
            assert ask(server, route, wrong[0]).status_code == 401, route
    for headers in wrong:
        answer = server.client.get("/v1/galleries", headers=headers)
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert server.client.get("/v1/health").status_code == 200


@pytest.mark.parametrize("role", ["search", "index", "audit", "admin"])
def test_every_route_against_every_role(server, role):
    headers = server.token(role)
    for route, (roles, _, _) in MATRIX.items():
        status = ask(server, route, headers).status_code
        assert (status == 403) == (role not in roles), (route, status)


@pytest.mark.parametrize("role", ["search", "index", "audit", "admin"])
def test_a_gallery_that_is_not_yours_is_not_there(server, role):
    headers = server.token(role, galleries=["people"])
    for route, (roles, _, _) in MATRIX.items():
        if "{gallery}" in route and role in roles:
            other, absent = (ask(server, route, headers, gallery=name) for name in ("other", "nothing"))
            assert (other.status_code, absent.status_code) == (404, 404), route
            assert other.text.replace("other", "X") == absent.text.replace("nothing", "X"), route


@pytest.mark.parametrize("role", ["search", "index", "admin"])
def test_a_crop_of_another_camera_or_gallery_is_not_there(server, role):
    headers = server.token(role, cameras=["cam_a"])
    ids = server.ids()
    strange = {
        "another camera": ids["0003.png"],
        "no camera": ids["0006.png"],
        "another gallery": server.ids("other")["0001.png"],
    }
    for route, (roles, whole, body) in MATRIX.items():
        if role not in roles or not ("{crop}" in route or (isinstance(body, dict) and "crops" in body)):
            continue
        absent = ask(server, route, headers)
        for what, crop in strange.items():
            answer = ask(server, route, headers, crop=crop)
            assert answer.status_code == (403 if whole else 404), (route, what)
            assert answer.text == absent.text, (route, what)


def test_a_token_of_some_cameras_may_not_do_what_concerns_all(server):
    headers = server.token("admin", cameras=["cam_a"])
    for route, (roles, whole, _) in MATRIX.items():
        if whole and "admin" in roles:
            assert ask(server, route, headers).status_code == 403, route


def test_a_token_of_some_cameras_finds_and_counts_only_theirs(server):
    headers = server.token("search", cameras=["cam_a", "cam_z"])
    post = lambda body: server.client.post("/v1/galleries/people/search", json=body, headers=headers)  # noqa: E731
    told = post({"sentences": ["an orange jacket"]}).json()
    assert told["passed"] == 2 and {hit["camera"] for hit in told["candidates"]} == {"cam_a"}
    told = server.client.get("/v1/galleries/people", headers=headers).json()
    assert told["crops"] == 2 and told["values"]["camera"] == {"cam_a": 2}
    assert set(told["values"]["label:colour"]) == {"teal", "red"}
    for where in ({"cameras": ["cam_b"]}, {"not_cameras": ["cam_b"]}, {"labels": {"colour": ["white"]}}):
        answer = post({"sentences": ["x"], "where": where})
        assert answer.status_code == 422
        unknown = json.loads(json.dumps(where).replace("cam_b", "nothing").replace("white", "nothing"))
        assert post({"sentences": ["x"], "where": unknown}).text == answer.text.replace("cam_b", "nothing").replace(
            "white", "nothing"
        )
    assert post({"more_like": [server.ids()["0003.png"]]}).status_code == 404
    told = post({"sentences": ["a man at camera cam_b"]}).json()
    assert told["parse"]["where"] == {} and told["passed"] == 2


def test_a_saved_search_that_names_what_is_not_yours_is_not_there(server):
    body = {"name": "orange", "sentences": ["an orange jacket"], "where": {"cameras": ["cam_c"]}}
    server.client.post("/v1/galleries/people/saved", json=body)
    body = {"name": "like", "more_like": [server.ids()["0003.png"]]}
    server.client.post("/v1/galleries/people/saved", json=body)
    headers = server.token("search", cameras=["cam_a"])
    assert server.client.get("/v1/galleries/people/saved", headers=headers).json() == {"saved": []}
    for name in ("orange", "like", "nothing"):
        answer = server.client.post("/v1/galleries/people/search", json={"saved": name}, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (404, "no saved search of this name")


def test_a_token_of_some_cameras_uploads_for_them_only(server, draw, tmp_path):
    headers = server.token("index", cameras=["cam_a"])
    file = ("a.png", draw(tmp_path / "x.png", shade=99).read_bytes())
    for camera, status in ((None, 403), ("cam_b", 403), ("cam_a", 200)):
        data = {"metadata": json.dumps({"camera": camera})}
        answer = server.client.post("/v1/galleries/people/crops", files={"files": file}, data=data, headers=headers)
        assert answer.status_code == status
    for told in ({"camera": "cam_b"}, {"forget": ["camera"]}):
        body = {"crops": [server.ids()["0001.png"]], **told}
        assert server.client.post("/v1/galleries/people/update", json=body, headers=headers).status_code == 403


def test_a_token_with_blurred_faces_sees_no_others(server):
    headers, crop = server.token("admin", blurred=True), server.ids()["0001.png"]
    row = server.galleries["people"].rows([crop])[crop]
    for what in ("thumbnail", "original"):
        content = server.client.get(f"/v1/galleries/people/crops/{crop}/{what}", headers=headers).content
        assert content not in (row.thumbnail, row.file.read_bytes())
    answer = server.client.post("/v1/galleries/people/export", json={"pictures": True}, headers=headers)
    assert answer.status_code == 403


def test_jobs_and_pictures_are_their_owners_only(server, draw, tmp_path):
    mine, other = server.token("admin"), server.token("admin")
    job = server.client.post("/v1/galleries/people/compact?follow=false", headers=mine).json()["job"]
    assert server.client.get(f"/v1/jobs/{job}", headers=mine).status_code == 200
    assert server.client.get(f"/v1/jobs/{job}", headers=other).status_code == 404
    file = {"file": ("a", draw(tmp_path / "x.png").read_bytes())}
    picture = server.client.post("/v1/galleries/people/pictures", files=file, headers=mine).json()["picture"]
    for headers, status in ((mine, 200), (other, 404)):
        answer = server.client.post("/v1/galleries/people/search", json={"pictures": [picture]}, headers=headers)
        assert answer.status_code == status


def test_a_purpose_is_needed_for_what_shows_people(server):
    crop, none = server.ids()["0001.png"], {"Pickout-Purpose": ""}
    for purpose in (none, {"Pickout-Purpose": "curiosity"}):
        answer = server.client.post("/v1/galleries/people/search", json={"sentences": ["x"]}, headers=purpose)
        assert answer.status_code == 422 and "missing person" in answer.json()["error"]
        assert server.client.get(f"/v1/galleries/people/crops/{crop}/original", headers=purpose).status_code == 422
        assert server.client.post("/v1/galleries/people/export", json={}, headers=purpose).status_code == 422
    assert server.log() == []


def test_a_token_is_told_once_kept_as_a_digest_and_can_end(server):
    headers = server.token("search")
    secret = headers["Authorization"].rpartition("_")[2]
    file = server.state / TOKENS
    assert secret not in file.read_text() and file.stat().st_mode & 0o077 == 0
    admin = server.token("admin")
    told = server.client.get("/v1/tokens", headers=admin)
    assert secret not in told.text and "digest" not in told.text
    token = told.json()["tokens"][0]["id"]
    assert server.client.get("/v1/galleries", headers=headers).status_code == 200
    assert server.client.delete(f"/v1/tokens/{token}", headers=admin).status_code == 204
    assert server.client.get("/v1/galleries", headers=headers).status_code == 401
    assert server.log()[-1]["event"] == "token revoked"


def test_an_expired_token_is_not_valid_and_another_process_is_noticed(tmp_path):
    tokens, other = Tokens(tmp_path), Tokens(tmp_path)
    _, secret = tokens.create(OWNER, "a", [Role.SEARCH], datetime.now(UTC) + timedelta(seconds=1.1))
    assert other.actor(secret, "x").name == "a"
    time.sleep(1.2)
    with pytest.raises(NotKnown):
        other.actor(secret, "x")
    with pytest.raises(UsageError):
        tokens.create(OWNER, "a", [Role.SEARCH], datetime.now(UTC) - timedelta(days=1))


def test_a_token_never_gives_or_changes_rights_beyond_its_own(server):
    admin = server.token("admin", galleries=["people"], cameras=["cam_a"])
    post = lambda **body: server.client.post("/v1/tokens", json={"name": "x", **body}, headers=admin)  # noqa: E731
    limits = {"galleries": ["people"], "cameras": ["cam_a"]}
    assert post(roles=["search"], days=0.5, **limits).status_code == 201
    assert post(roles=["admin"], days=0.5, **limits).status_code == 201
    for more in (
        {"roles": ["search"], "days": 2, **limits},  # longer
        {"roles": ["search"], "days": 0.5, "galleries": ["people"]},  # every camera
        {"roles": ["search"], "days": 0.5, "cameras": ["cam_a"]},  # every gallery
    ):
        assert post(**more).status_code == 403, more
    for name in ("other", "nothing"):  # what is not its own is not there
        answer = post(roles=["search"], days=0.5, galleries=["people", name], cameras=["cam_a"])
        assert (answer.status_code, answer.json()["error"]) == (422, f"galleries: no '{name}' here; there are people")
    assert server.client.post(
        "/v1/tokens", json={"name": "x", "roles": ["audit"], "days": 0.5}, headers=server.token("admin")
    ).status_code == 403  # fmt: skip
    own = admin["Authorization"].split("_")[1]
    assert server.client.delete(f"/v1/tokens/{own}", headers=admin).status_code == 403
    stronger = server.token("admin")["Authorization"].split("_")[1]
    unseen, absent = (server.client.delete(f"/v1/tokens/{each}", headers=admin) for each in (stronger, "00000000"))
    assert (unseen.status_code, unseen.text) == (absent.status_code, absent.text) == (404, absent.text)
    told = server.client.get("/v1/tokens", headers=admin).json()["tokens"]
    assert len(told) == 3 and all(each["galleries"] == ["people"] for each in told)
    assert not any(re.match("P(UT|ATCH) /v1/tokens", route) for route in MATRIX)


def test_wrong_tokens_have_to_wait_and_do_not_lock_out_others(tmp_path):
    tokens = Tokens(tmp_path, failures=3)
    token, secret = tokens.create(OWNER, "a", [Role.SEARCH], SOON)
    for _ in range(3):
        with pytest.raises(NotKnown):
            tokens.actor("pickout_nothing_x", "1.2.3.4")
    with pytest.raises(ServerBusy) as busy:
        tokens.actor("pickout_nothing_x", "1.2.3.4")
    assert 0 < busy.value.seconds <= 61
    assert tokens.actor(secret, "1.2.3.4").name == "a"
    with pytest.raises(NotKnown):
        tokens.actor("pickout_nothing_x", "5.6.7.8")
    for _ in range(3):
        with pytest.raises(NotKnown):
            tokens.actor(f"pickout_{token.id}_wrong", "5.6.7.8")
    with pytest.raises(ServerBusy):
        tokens.actor(secret, "5.6.7.8")


def test_over_http_wrong_tokens_get_429(serve):
    server = serve(failures=2)
    server.token("search")
    answers = [server.client.get("/v1/me", headers={"Authorization": "Bearer pickout_x_y"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert int(answers[2].headers["retry-after"]) > 0


def test_reached_from_elsewhere_a_server_wants_a_token_even_if_there_is_none(serve):
    server = serve(loopback=False)
    assert server.client.get("/v1/galleries").status_code == 401


def test_the_permission_function_alone():
    some = Actor("x", frozenset({Role.SEARCH}), cameras=frozenset({"a"}), galleries=frozenset({"g"}))
    permit(some, Action.SEARCH, "g")
    for action in (Action.INDEX, Action.ERASE, Action.AUDIT, Action.EXPORT, Action.TOKENS, Action.MANAGE, Action.KEEP):
        with pytest.raises(AccessDenied):
            permit(some, action, "g")
    with pytest.raises(NotThere):
        permit(some, Action.SEARCH, "h")
    with pytest.raises(NotThere):
        permit(some, Action.IMAGE, "g", [None])


def test_index_role_may_not_search(server):
    headers = server.token("index")
    assert (
        server.client.post("/v1/galleries/people/search", json={"sentences": ["x"]}, headers=headers).status_code == 403
    )
    assert result_of(server.client.post("/v1/galleries/people/compact", headers=server.token("admin")))
