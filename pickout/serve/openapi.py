"""What the OpenAPI tells besides the routes: errors, the lines of long work, who is asked for, and what leads where."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

ERRORS = {
    400: "garbled",
    401: "no valid token",
    403: "the token may not do this, or a rule refuses it",
    404: "not there, or not to be seen",
    405: "not by this method",
    408: "the body did not come in time",
    409: "not as the gallery is now",
    413: "too large",
    415: "of another type than it should be",
    421: "the server is not called so",
    422: "the request's words are wrong",
    429: "too many wrong tokens; see Retry-After",
    500: "a fault of the server or damage of a gallery",
    503: "too much waits; see Retry-After",
    507: "no space left",
}
"""Every error that any route may give."""
_SEEN = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}
_TEXT = {"type": "string"}
_ERROR = {
    "type": "object",
    "description": "What is wrong, in words.",
    "properties": {"error": _TEXT, "kind": _TEXT},
    "required": ["error", "kind"],
    "additionalProperties": False,
}
_GALLERY = "/v1/galleries/{gallery}"
_LINKS: dict[str, dict[str, list[str]]] = {
    f"POST {_GALLERY}/search": {"crop=/candidates/0/id": ["GET /crops/{crop}", "GET /crops/{crop}/thumbnail"]},
    f"POST {_GALLERY}/recordings": {"recording=/recording": ["DELETE /recordings/{recording}"]},
    f"POST {_GALLERY}/cases": {
        "case=/id": [
            "GET /cases/{case}",
            "POST /cases/{case}/notes",
            "POST /cases/{case}/archive",
            "DELETE /cases/{case}",
        ]
    },
    f"POST {_GALLERY}/saved": {"name=/saved": ["DELETE /saved/{name}"]},
    f"POST {_GALLERY}/watches": {"name=/name": ["GET /watches/{name}/alarms", "DELETE /watches/{name}"]},
    f"POST {_GALLERY}/holds": {"hold=/id": ["DELETE /holds/{hold}"]},
    "POST /v1/tokens": {"token=/id": ["DELETE /v1/tokens/{token}"]},
}
"""Which routes take what an answer gives: a parameter, and where in the body it stands."""
_BEGUN_LINK = {"job=/job": ["GET /v1/jobs/{job}", "DELETE /v1/jobs/{job}"]}


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI of the application."""
    if app.openapi_schema is None:
        spec = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            separate_input_output_schemas=False,
        )
        parts = spec["components"]
        parts["schemas"]["Error"] = _ERROR
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        parts["schemas"] = {name: value for name, value in parts["schemas"].items() if "ValidationError" not in name}
        spec["security"] = [{"token": []}, {}]
        for path, methods in spec["paths"].items():
            for method, told in methods.items():
                _complete(spec, f"{method.upper()} {path}", told["responses"])
        app.openapi_schema = spec
    return app.openapi_schema


def _complete(spec: dict[str, Any], route: str, responses: dict[str, Any]) -> None:
    if "202" in responses:
        result = responses["200"].pop("content")["application/json"]["schema"]
        lines = [_line("job", _TEXT), _line("progress", {"type": "object"}), _line("result", result), _ref("Error")]
        responses["200"]["content"] = {"application/x-ndjson": {"schema": {"anyOf": lines}}}
    for status, answer in responses.items():
        for kind, content in answer.get("content", {}).items():
            if status == "200" and kind != "application/json" and not content.get("schema"):
                content["schema"] = _TEXT if kind.startswith("text/") else {"type": "string", "format": "binary"}
    links = _BEGUN_LINK if "202" in responses else _LINKS.get(route, {})
    good = "202" if "202" in responses else min(responses)
    told = {}
    for source, targets in links.items():
        name, _, place = source.partition("=")
        for target in targets:
            method, _, path = target.partition(" ")
            whole = path if path.startswith("/v1") else _GALLERY + path
            given = {name: f"$response.body#{place}"}
            if "{gallery}" in whole:
                given["gallery"] = "$request.path.gallery"
            operation = spec["paths"][whole][method.lower()]["operationId"]
            told[f"{method} {whole.rpartition('/')[2]}"] = {"operationId": operation, "parameters": given}
    if told:
        responses[good]["links"] = told
    for code, words in ERRORS.items():
        headers = {_SEEN[code]: {"schema": _TEXT}} if code in _SEEN else {}
        content = {"application/json": {"schema": _ref("Error")}}
        responses[str(code)] = {"description": words, "content": content} | ({"headers": headers} if headers else {})


def _line(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: schema}, "required": [name]}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
