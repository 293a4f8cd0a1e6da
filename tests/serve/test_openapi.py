"""The OpenAPI is complete: random requests made from it get answers that it describes, and no fault of the server."""

import json
import random
import re
from contextlib import suppress
from urllib.parse import quote

import pytest
from small_server import PURPOSE

from pickout.errors import PickoutError
from pickout.files import packaged_table
from pickout.serve.app import ERRORS

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


@pytest.fixture(autouse=True)
def nobody_is_drawn(monkeypatch):
    """Calibration without data would draw a hundred people each time."""
    monkeypatch.setattr("pickout.serve.upkeep_routes.draw_strangers", lambda folder, _: folder)


def test_every_route_tells_its_errors_and_its_words(server):
    spec = server.app.openapi()
    assert spec["info"]["title"] == "Pickout"
    errors = {str(code) for code in ERRORS}
    for path, methods in spec["paths"].items():
        for method, told in methods.items():
            assert told.get("description") or told.get("summary"), path
            assert errors <= set(told["responses"]), (path, method)


def test_every_body_is_described(server):
    """Every answer has a schema that says something: a model, words or bytes; and every error is the same."""
    spec = json.loads(json.dumps(server.app.openapi()))
    for path, methods in spec["paths"].items():
        for method, told in methods.items():
            for status, answer in told["responses"].items():
                content = answer.get("content", {})
                if status >= "400":
                    assert content == {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
                elif status != "204":
                    assert content and all(each["schema"] for each in content.values()), (method, path, status)
                    schema = content.get("application/json", {}).get("schema", {"$ref": ""})
                    assert "$ref" in schema, (method, path, status)
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(spec)))
    assert named == set(spec["components"]["schemas"])


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


CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
          "use_after_free", "ensure_resource_availability")  # fmt: skip


def test_chains_of_requests_get_answers_that_are_described(server):
    """Requests that take what earlier ones gave, by the OpenAPI's links; many short runs, each of a fixed seed, since
    what comes after a change depends on it, which ends a run."""
    narrowed(server)
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", server.app).exclude(path=STREAM)
    checks = [getattr(schemathesis.checks, name) for name in CHECKS]
    headers = server.token("search", "index", "audit", "admin")
    asked, chained, faults = [], set(), []

    class Machine(schema.as_state_machine()):
        def get_call_kwargs(self, _):
            return {"headers": headers}

        def step(self, given):
            if given.transition is not None:
                chained.add(given.transition.id)
            return super().step(given)

        def validate_response(self, response, case, **more):
            asked.append(case.operation.label)
            try:
                case.validate_response(response, checks=checks, **more)
            except BaseException as error:
                faults.append(f"{case.operation.label} {response.status_code}: {error!r} {error.__dict__}")

    settings = hypothesis.settings(SETTINGS, max_examples=3, stateful_step_count=8)
    for seed in range(40):
        with suppress(hypothesis.errors.FlakyStrategyDefinition):
            hypothesis.seed(seed)(Machine).run(settings=settings)
    assert faults == []
    assert len(asked) >= 200 and len(set(asked)) >= 20 and len(chained) >= 8


def narrowed(server):
    """Let the OpenAPI ask for a gallery, crops and a purpose that are there, and for some that are not."""
    spec, ids = json.loads(json.dumps(server.app.openapi())), list(server.ids().values())
    known = {"gallery": ["people", "people", "nothing"], "crop": [*ids[:3], "0" * 32], "pickout-purpose": ["incident"]}
    for methods in spec["paths"].values():
        for told in methods.values():
            for each in told.get("parameters", ()):
                if each["name"] in known:
                    each["schema"], each["required"] = {"enum": known[each["name"]]}, True
    server.app.openapi_schema = spec


def test_each_error_with_a_status_of_its_own_is_an_error_of_ours():
    def kinds(kind):
        return {kind.__name__}.union(*map(kinds, kind.__subclasses__()))

    assert packaged_table("pickout.serve", "openapi.toml")["status"].keys() <= kinds(PickoutError)
