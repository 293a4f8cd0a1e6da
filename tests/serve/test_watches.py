"""Watches: a rate of false alarms that holds, and what is said where none can be promised."""

import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx2
import numpy as np
import pytest
from small_server import result_of

from pickout.gallery.gallery import Gallery
from pickout.serve.watches import allowed_webhook, p_values, promise

URL = "/v1/galleries/people"


def p_by_loops(scores, background):
    return [(1 + sum(b >= s for b in background)) / (1 + len(background)) for s in scores]


def test_p_values_are_those_of_the_slow_twin():
    generator = np.random.default_rng(3)
    background = np.sort(generator.integers(0, 9, 50).astype(np.float32))
    scores = generator.integers(-1, 11, 30).astype(np.float32)
    assert p_values(scores, background).tolist() == p_by_loops(scores, background)


def test_the_rate_of_false_alarms_holds():
    """Days of 500 new crops like the background, whose scores are far from normal: the mean is what was asked for."""
    generator = np.random.default_rng(5)
    scores = lambda n: (generator.standard_t(3, n) * 0.05 + generator.exponential(0.1, n)).astype(np.float32)  # noqa: E731
    for rate in (1.0, 5.0, 20.0):
        alarms = [int((p_values(scores(500), np.sort(scores(4000))) <= rate / 500).sum()) for _ in range(400)]
        assert np.mean(alarms) == pytest.approx(rate, rel=0.15)


def test_what_cannot_be_promised_is_said():
    assert promise(99, 100, 1)["promised"]
    told = promise(98, 100, 1)
    assert not told["promised"] and "less than 1.01 false alarms a day" in told["note"]


@pytest.fixture
def watching(server):
    server.client.post(f"{URL}/saved", json={"name": "blue", "sentences": ["a blue jacket and yellow trousers"]})
    body = {"name": "door", "search": "blue", "false_alarms_a_day": 2, "crops_a_day": 10}
    made = server.client.post(f"{URL}/watches", json=body)
    assert made.status_code == 201 and made.json()["promised"]
    return server


def add(server, draw, tmp_path, *colours, shade=50):
    file = draw(tmp_path / f"new{shade}.png", *colours, shade=shade)
    answer = server.client.post(
        f"{URL}/crops", files={"files": ("x", file.read_bytes())}, data={"metadata": '{"camera": "door"}'}
    )
    return result_of(answer)["crops"][0]


def alarms(server, **more):
    return server.client.get(f"{URL}/watches/door/alarms", **more).json()["alarms"]


def test_a_watch_fires_for_the_new_crop_that_fits_once_and_for_no_other(watching, draw, tmp_path):
    assert watching.parts.watches.look() == 0
    other = add(watching, draw, tmp_path, "black", "red", "red", shade=51)
    crop = add(watching, draw, tmp_path, "black", "blue", "yellow", shade=52)
    assert watching.parts.watches.look() == 1
    assert watching.parts.watches.look() == 0
    found = alarms(watching)
    assert [alarm["crop"]["id"] for alarm in found] == [crop] != [other]
    assert found[0]["p"] == pytest.approx(1 / 7)
    entry = watching.log()[-1]
    assert (entry["event"], entry["via"], entry["watch"]) == ("alarm", "watch", "door") and len(entry["shown"]) == 1


def test_what_is_erased_is_forgotten_by_its_watch(watching, draw, tmp_path):
    crop = add(watching, draw, tmp_path, "black", "blue", "yellow")
    watching.parts.watches.look()
    watching.client.post(f"{URL}/erase", json={"crops": [crop]})
    assert alarms(watching) == []
    watching.parts.watches.look()
    assert crop.encode() not in (watching.state / "watches.sqlite").read_bytes()


@pytest.mark.parametrize("through", ["the server", "another process", "a watch that stopped"])
def test_what_is_erased_is_forgotten_also_where_no_crop_passes_any_more(server, encoder, through):
    body = {"name": "b", "sentences": ["a blue jacket"], "where": {"cameras": ["cam_b"]}}
    server.client.post(f"{URL}/saved", json=body)
    body = {"name": "door", "search": "b", "false_alarms_a_day": 2, "crops_a_day": 10}
    assert server.client.post(f"{URL}/watches", json=body).status_code == 201
    crops, kept = [server.ids()[name] for name in ("0003.png", "0004.png")], server.state / "watches.sqlite"
    assert all(crop.encode() in kept.read_bytes() for crop in crops)
    if through == "another process":
        Gallery.open(server.galleries["people"].path, encoder).erase(crops)
        server.galleries["people"].refresh()
        server.parts.watches.look()
    else:
        if through == "a watch that stopped":
            server.client.delete(f"{URL}/saved/b")
        assert server.client.post(f"{URL}/erase", json={"crops": crops}).status_code == 200
    assert not any(crop.encode() in kept.read_bytes() for crop in crops)


def test_a_watch_stops_where_the_gallery_gets_another_model(watching, monkeypatch):
    told = lambda: watching.client.get(f"{URL}/watches").json()["watches"][0]  # noqa: E731
    assert not told()["stopped"]
    about = watching.galleries["people"].path / "gallery.json"
    about.write_text(
        about.read_text().replace(watching.galleries["people"].open().manifest.model.fingerprint, "f" * 12)
    )
    monkeypatch.setattr(watching.galleries["people"].encoder, "fingerprint", "f" * 12)
    assert told()["stopped"] and "another model" in told()["why_stopped"]
    assert watching.parts.watches.look() == 0


def test_an_address_that_does_not_answer_holds_up_no_other(serve, draw, tmp_path, monkeypatch):
    asked = []

    def post(address, **_):
        asked.append(address)
        if "dead" in address:
            raise httpx2.ConnectError("nobody")
        return httpx2.Response(204)

    monkeypatch.setattr(httpx2, "post", post)
    monkeypatch.setattr("pickout.serve.watches._SENT", 2)
    server = serve(webhooks=("http://dead.example", "http://live.example"))
    server.client.post(f"{URL}/saved", json={"name": "blue", "sentences": ["a blue jacket and yellow trousers"]})
    for name in ("dead", "live"):
        body = {"name": name, "search": "blue", "false_alarms_a_day": 9, "crops_a_day": 10}
        assert (
            server.client.post(f"{URL}/watches", json={**body, "webhook": f"http://{name}.example/"}).status_code == 201
        )
    for shade in range(3):
        add(server, draw, tmp_path, "black", "blue", "yellow", shade=50 + shade)
    assert server.parts.watches.look() == 6
    server.parts.watches.send()
    assert asked.count("http://dead.example/") == 1 and asked.count("http://live.example/") == 2
    server.parts.watches.send()
    assert asked.count("http://dead.example/") == 2 and asked.count("http://live.example/") == 3


def test_a_watch_ends_with_its_owners_token(server, draw, tmp_path):
    server.client.post(f"{URL}/saved", json={"name": "blue", "sentences": ["a blue jacket and yellow trousers"]})
    owner, admin, other = server.token("search"), server.token("admin"), server.token("search")
    body = {"name": "door", "search": "blue", "false_alarms_a_day": 2, "crops_a_day": 10}
    assert server.client.post(f"{URL}/watches", json=body, headers=owner).status_code == 201
    for headers in (other, admin):
        assert server.client.get(f"{URL}/watches/door/alarms", headers=headers).status_code == 404
        assert server.client.get(f"{URL}/watches", headers=headers).json() == {"watches": []}
    server.client.delete("/v1/tokens/" + owner["Authorization"].split("_")[1], headers=admin)
    file = draw(tmp_path / "n.png", "black", "blue", "yellow", shade=60)
    result_of(server.client.post(f"{URL}/crops", files={"files": ("x", file.read_bytes())}, headers=admin))
    assert server.parts.watches.look() == 0


def test_a_watch_of_a_token_sees_its_cameras_only(server, draw, tmp_path):
    limited = server.token("admin", cameras=["cam_a"])
    everyone = server.token("admin")
    server.client.post(f"{URL}/saved", json={"name": "blue", "sentences": ["a blue jacket"]}, headers=everyone)
    body = {"name": "door", "search": "blue", "false_alarms_a_day": 9, "crops_a_day": 10}
    assert server.client.post(f"{URL}/watches", json=body, headers=limited).json()["promised"]
    for camera in ("cam_a", "cam_b"):
        file = draw(tmp_path / f"{camera}.png", "black", "blue", "blue", shade=ord(camera[-1]))
        data = {"metadata": json.dumps({"camera": camera})}
        result_of(
            server.client.post(f"{URL}/crops", files={"files": ("x", file.read_bytes())}, data=data, headers=everyone)
        )
    assert server.parts.watches.look() == 1
    assert [alarm["crop"]["camera"] for alarm in alarms(server, headers=limited)] == ["cam_a"]


def test_bad_watches_are_refused(watching):
    def post(**body):
        told = {"name": "w", "search": "blue", "false_alarms_a_day": 1, **body}
        return watching.client.post(f"{URL}/watches", json=told)

    assert post(name="door").status_code == 422
    assert post(search="nothing").status_code == 404
    assert post(false_alarms_a_day=0).status_code == 422
    assert post(webhook="http://169.254.169.254/").status_code == 422
    assert post().json()["crops_a_day"] == pytest.approx(5 / 2)  # five crops have times, over two days
    assert watching.client.delete(f"{URL}/watches/w").status_code == 204
    assert watching.client.delete(f"{URL}/watches/w").status_code == 404


def test_alarms_as_server_sent_events(watching, draw, tmp_path):
    first = add(watching, draw, tmp_path, "black", "blue", "yellow", shade=71)
    second = add(watching, draw, tmp_path, "black", "blue", "yellow", shade=72)
    assert watching.parts.watches.look() == 2
    told = [False, False, True]
    watching.parts.stopping = lambda: told.pop(0)  # the stream ends when the server stops
    with watching.client.stream("GET", f"{URL}/watches/door/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = list(answer.iter_lines())
    data = [json.loads(line[5:]) for line in lines if line.startswith("data:")]
    assert [each["crop"]["id"] for each in data] == [first, second]
    told.extend([False, True])
    with watching.client.stream("GET", f"{URL}/watches/door/events", headers={"Last-Event-ID": "1"}) as answer:
        assert [line for line in answer.iter_lines() if line.startswith("id:")] == ["id: 2"]


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("https://a.example/x?y", True),
        ("https://a.example:443/", True),
        ("https://a.example:444/", False),
        ("http://a.example/", False),
        ("https://a.example.evil/", False),
        ("https://user:pass@a.example/", False),
        ("https://a.example@evil/", False),
        ("file:///etc/passwd", False),
        ("//a.example", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_addresses_for_alarms(address, allowed):
    assert allowed_webhook(address, ["https://a.example"]) is allowed


def test_alarms_are_sent_signed_until_they_arrive_and_follow_no_redirect(serve, draw, tmp_path):
    received, answers = [], [500, 302, 204]

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, body, self.headers["Pickout-Signature"]))
            self.send_response(answers.pop(0))
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{receiver.server_port}"
        server = serve(webhooks=(address,))
        server.client.post(f"{URL}/saved", json={"name": "blue", "sentences": ["a blue jacket and yellow trousers"]})
        body = {
            "name": "door",
            "search": "blue",
            "false_alarms_a_day": 2,
            "crops_a_day": 10,
            "webhook": f"{address}/in",
        }
        assert server.client.post(f"{URL}/watches", json=body).status_code == 201
        crop = add(server, draw, tmp_path, "black", "blue", "yellow")
        server.parts.watches.look()
        for _ in range(4):
            server.parts.watches.send()
        receiver.shutdown()
    assert [path for path, _, _ in received] == ["/in"] * 3
    _, sent, signature = received[-1]
    assert json.loads(sent)["crop"] == crop and json.loads(sent)["watch"] == "door"
    assert signature == "sha256=" + hmac.digest(server.service.webhook_secret().encode(), sent, "sha256").hex()


def test_a_watch_whose_search_is_gone_or_another_says_so_and_asks_no_more(watching, draw, tmp_path):
    """Deleted, and then another search under its name: neither is what the watch was measured with."""

    def told():
        found = watching.client.get(f"{URL}/watches").json()["watches"][0]
        return found["stopped"], found["why_stopped"]

    assert told() == (False, None)
    assert watching.client.delete(f"{URL}/saved/blue").status_code == 204
    assert told()[0] and "'blue' is gone" in told()[1]
    time.sleep(1.1)  # searches are dated by whole seconds
    watching.client.post(f"{URL}/saved", json={"name": "blue", "sentences": ["a blue jacket and yellow trousers"]})
    assert told()[0] and "saved anew" in told()[1]
    add(watching, draw, tmp_path, "black", "blue", "yellow")
    assert watching.parts.watches.look() == 0 and alarms(watching) == []
