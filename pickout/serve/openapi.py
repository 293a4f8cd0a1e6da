"""What the OpenAPI tells besides the routes: errors, the lines of long work, who is asked for, and what leads where."""

from typing import Any

from fastapi import FastAPI

from pickout.files import packaged_table

_TOLD = packaged_table("pickout.serve", "openapi.toml")
ERRORS: dict[int, str] = {int(code): words for code, words in _TOLD["errors"].items()}
"""Every error that any route may give."""
_TEXT, _ERROR = {"type": "string"}, {"$ref": "#/components/schemas/Error"}


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI of the application."""
    known, spec = app.openapi_schema, FastAPI.openapi(app)
    if known is None:
        parts = spec["components"]
        parts["schemas"]["Error"] = _TOLD["error"]
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        parts["schemas"] = {name: value for name, value in parts["schemas"].items() if "ValidationError" not in name}
        spec["security"] = [{"token": []}, {}]
        for path, methods in spec["paths"].items():
            for method, told in methods.items():
                _complete(spec, f"{method.upper()} {path}", told["responses"])
    return spec


def _complete(spec: dict[str, Any], route: str, responses: dict[str, Any]) -> None:
    if "202" in responses:
        result = responses["200"].pop("content")["application/json"]["schema"]
        told = {"job": _TEXT, "progress": {"type": "object"}, "result": result}
        lines = [{"type": "object", "properties": {name: each}, "required": [name]} for name, each in told.items()]
        responses["200"]["content"] = {"application/x-ndjson": {"schema": {"anyOf": [*lines, _ERROR]}}}
    for status, answer in responses.items():
        for kind, content in answer.get("content", {}).items():
            if status == "200" and kind != "application/json" and not content.get("schema"):
                content["schema"] = _TEXT if kind.startswith("text/") else {"type": "string", "format": "binary"}
    good, links = "202" if "202" in responses else min(responses), {}
    link = _TOLD["links"].get("job" if "202" in responses else route, {"to": ()})
    for method, _, path in (target.partition(" ") for target in link["to"]):
        whole = path if path.startswith("/v1") else f"/v1/galleries/{{gallery}}{path}"
        given = {link["name"]: f"$response.body#{link['place']}"}
        given |= {"gallery": "$request.path.gallery"} if "{gallery}" in whole else {}
        operation = spec["paths"][whole][method.lower()]["operationId"]
        links[f"{method} {whole.rpartition('/')[2]}"] = {"operationId": operation, "parameters": given}
    if links:
        responses[good]["links"] = links
    for code, words in _TOLD["errors"].items():
        responses[code] = {"description": words, "content": {"application/json": {"schema": _ERROR}}}
        if code in _TOLD["seen"]:
            responses[code]["headers"] = {_TOLD["seen"][code]: {"schema": _TEXT}}
