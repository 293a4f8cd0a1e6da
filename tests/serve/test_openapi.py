"""The OpenAPI is complete: random requests made from it get answers that it describes, and no fault of the server."""

import json
import random
from urllib.parse import quote

import pytest
from small_server import PURPOSE

schemathesis = pytest.importorskip("schemathesis")
hypothesis = pytest.importorskip("hypothesis")

STREAM = "/v1/galleries/{gallery}/watches/{name}/events"
SETTINGS = hypothesis.settings(
    max_examples=4,
    deadline=None,
    database=None,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


def test_every_route_tells_its_errors_and_its_words(server):
    spec = server.app.openapi()
    assert spec["info"]["title"] == "Pickout"
    errors = {"401", "403", "404", "413", "422", "429", "500", "503", "507"}
    for path, methods in spec["paths"].items():
        for method, told in methods.items():
            assert told.get("description") or told.get("summary"), path
            assert errors <= set(told["responses"]), (path, method)


class Asking:
    """Requests made from a case, with galleries and crops that exist in most of them, so that state is reached."""

    def __init__(self, server, seed):
        self.server, self.random = server, random.Random(seed)
        self.ids = list(server.ids().values())
        self.asked = {}

    def run(self, operation):
        @hypothesis.seed(11)
        @SETTINGS
        @hypothesis.given(case=operation.as_strategy())
        def test(case):
            self.ask(operation, case)

        test()

    def ask(self, operation, case):
        path = operation.path
        for name, value in (case.path_parameters or {}).items():
            known = {"gallery": "people", "crop": self.random.choice(self.ids)}.get(name, value)
            told = known if self.random.random() < 0.8 else "nothing"
            path = path.replace("{" + name + "}", quote(str(told), safe=""))
        headers = {k: v for k, v in (case.headers or {}).items() if str(v).isprintable() and str(v).isascii()}
        more = {"headers": {**headers, **PURPOSE}}
        more["params"] = {k: v for k, v in (case.query or {}).items() if k != "purpose"}
        if case.media_type == "application/json":
            more["content"] = json.dumps(case.body).encode()
            more["headers"]["Content-Type"] = "application/json"
        elif case.media_type:
            more["files"] = {"files": ("x", b"x"), "file": ("x", b"x")}
        answer = self.server.client.request(operation.method.upper(), path, **more)
        self.asked[operation.label] = self.asked.get(operation.label, 0) + 1
        self.check(operation, answer)

    def check(self, operation, answer):
        status = str(answer.status_code)
        assert status in {*operation.definition.raw["responses"], "405"}, (operation.label, status, answer.text)
        assert answer.status_code != 500, (operation.label, answer.text)
        if answer.status_code >= 400:
            assert set(answer.json()) == {"error", "kind"}


def test_random_requests_get_answers_that_are_described(server):
    """A fixed seed; every route but the stream that does not end; changes of one are there for the next."""
    spec = json.loads(json.dumps(server.app.openapi()))
    del spec["paths"][STREAM]
    asking = Asking(server, 11)
    for found in schemathesis.openapi.from_dict(spec).get_all_operations():
        asking.run(found.ok())
    assert len(asking.asked) >= 40
    assert server.client.get("/v1/health").status_code == 200
