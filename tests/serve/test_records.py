"""Every route that changes something leaves an entry in the audit, of who did it."""

import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from colour_encoder import ColourEncoder
from small_server import draw_crop
from test_access import MATRIX

from pickout.serve.access import OWNER, Role

SHOWS_OR_READS = {
    "POST /v1/galleries/{gallery}/parse",
    "POST /v1/galleries/{gallery}/pictures",  # kept in memory for a quarter of an hour, for its sender
    "POST /v1/galleries/{gallery}/verify",
    "POST /v1/galleries/{gallery}/compact",  # changes no row
    "POST /v1/galleries/{gallery}/audit/proof",
    "POST /v1/galleries/{gallery}/audit/verify",
    "POST /v1/galleries/{gallery}/crops/{crop}/explain",  # this model has no explanations; see test_documents
}
"""What is no GET and changes nothing."""
G = "/v1/galleries/people"


@pytest.fixture
def ready(serve, tmp_path):
    """A server with something of each kind on it, and what a successful request of each changing route is."""
    server = serve(folders=(tmp_path,), jobs=50)
    boss = server.token("search", "index", "audit", "admin")
    server.client.headers.update(boss)
    server.boss, post = boss["Authorization"].split("_")[1], server.client.post
    crops = list(server.ids().values())
    picture = draw_crop(tmp_path / "new.png", "black", "blue", "yellow", shade=100).read_bytes()
    (tmp_path / "more").mkdir()
    draw_crop(tmp_path / "more" / "0.png", shade=101)
    (tmp_path / "model").touch()
    exported = post(f"{G}/export", json={}).content
    cases = [post(f"{G}/cases", json={"name": "a case"}).json()["id"] for _ in range(2)]
    recordings = [post(f"{G}/recordings?name={n}", content=b"no recording").json()["recording"] for n in range(2)]
    hold = post(f"{G}/holds", json={"reason": "x", "crops": crops[:1]}).json()["id"]
    for name in ("kept", "gone"):
        assert post(f"{G}/saved", json={"name": name, "sentences": ["teal"]}).status_code == 201
    watch = {"search": "kept", "false_alarms_a_day": 1}
    assert post(f"{G}/watches", json={"name": "gone", **watch}).status_code == 201
    token = server.service.tokens.create(*_somebody())[0].id
    case, file = f"cases/{cases[0]}", {"file": ("a.png", picture)}
    server.service.load = server.galleries["people"]._load = lambda _: ColourEncoder("other")
    server.asks = {
        "POST {g}/search": {"json": {"sentences": ["teal"]}},
        "POST {g}/saved": {"json": {"name": "new", "sentences": ["teal"]}},
        "DELETE {g}/saved/{name}": f"{G}/saved/gone",
        "POST {g}/watches": {"json": {"name": "new", **watch}},
        "DELETE {g}/watches/{name}": f"{G}/watches/gone",
        "POST {g}/cases": {"json": {"name": "another"}},
        "DELETE {g}/cases/{case}": f"{G}/cases/{cases[1]}",
        "POST {g}/cases/{case}/marks": (f"{G}/{case}/marks", {"json": {"crops": crops[:1], "verdict": "no"}}),
        "POST {g}/cases/{case}/notes": (f"{G}/{case}/notes", {"json": {"text": "x"}}),
        "POST {g}/cases/{case}/redactions": (f"{G}/{case}/redactions", {"json": {"crops": crops[:1]}}),
        "POST {g}/cases/{case}/archive": (f"{G}/{case}/archive", {"json": {}}),
        "PUT {g}/site": {"json": {"cameras": {}}},
        "PUT {g}/site/image": {"files": file},
        "POST {g}/crops": {"files": {"files": ("a.png", picture)}},
        "POST {g}/recordings": {"content": b"another"},
        "DELETE {g}/recordings/{recording}": f"{G}/recordings/{recordings[0]}",
        "POST {g}/video": {"json": {"recording": recordings[1]}},
        "POST {g}/index": {"json": {"folder": str(tmp_path / "more")}},
        "POST {g}/update": {"json": {"crops": crops[:1], "track": "7"}},
        "POST {g}/remove": {"json": {"crops": crops[1:2]}},
        "POST {g}/erase": {"json": {"crops": crops[2:3]}},
        "POST {g}/approximate": {"json": {"off": True}},
        "POST {g}/calibrate": {"json": {"data": "table", "folder": str(tmp_path / "more")}},
        "POST {g}/export": {"json": {}},
        "POST {g}/import": {"files": {"file": ("people.pickout", exported)}},
        "PUT {g}/retention": {"json": {"rules": [{"days": 1, "camera": "cam_c"}]}},
        "POST {g}/retention/enforce": {},
        "POST {g}/holds": {"json": {"reason": "x", "crops": crops[:1]}},
        "DELETE {g}/holds/{hold}": f"{G}/holds/{hold}",
        "POST {g}/sample": {},
        "POST /v1/tokens": {"json": {"name": "x", "roles": ["search"], "days": 0.5}},
        "DELETE /v1/tokens/{token}": f"/v1/tokens/{token}",
        "DELETE /v1/jobs/{job}": "",
        "POST {g}/rebuild": {"json": {"model": str(tmp_path / "model"), "drop_missing": True}},
    }
    return server


def _somebody():
    return OWNER, "somebody", [Role.SEARCH], datetime.now(UTC) + timedelta(days=0.5)


def test_every_change_leaves_an_entry(ready, monkeypatch):
    changing = {route for route in MATRIX if not route.startswith("GET ")} - SHOWS_OR_READS
    assert {route.replace("{g}", "/v1/galleries/{gallery}") for route in ready.asks} == changing
    go_on = threading.Event()

    def wait(tell):
        while not go_on.wait(0.01):
            tell({})
        return {}

    for route, told in ready.asks.items():
        method, path = route.replace("{g}", G).split(" ")
        place, more = (told, {}) if isinstance(told, str) else told if isinstance(told, tuple) else (path, told)
        before = len(ready.log())
        if route == "DELETE /v1/jobs/{job}":
            go_on.clear()
            place = f"/v1/jobs/{ready.service.jobs.start('index', 'people', ready.boss, wait).id}"
        if route == "POST {g}/sample":  # into an empty gallery only
            monkeypatch.setattr("pickout.gallery.gallery.Gallery.count", lambda _: 0)
        monkeypatch.setattr("pickout.serve.upkeep_routes.open_data", lambda *_: SimpleNamespace(splits={"val": None}))
        answer = ready.client.request(method, place, **more)
        monkeypatch.undo()
        go_on.set()
        assert answer.status_code < 300, (route, answer.text)
        new = ready.log()[before:]
        assert any("(somebody)" in entry["user"] and entry["via"] == "server" for entry in new), (route, new)
