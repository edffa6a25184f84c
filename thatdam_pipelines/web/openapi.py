"""The API's own description, with what holds for every path."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from thatdam_pipelines.web.access import COOKIE
from thatdam_pipelines.web.examples import BODIES, PARAMETERS
from thatdam_pipelines.web.once import HEADER, KEY_CHARACTERS
from thatdam_pipelines.web.problems import ProblemDetails, problems

_KEY = {
    "name": HEADER,
    "in": "header",
    "description": "The same request with the same key is done once; kept for seven days.",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_CHARACTERS},
    "example": "7c0ab3f2-retry-1",
}


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = schema.setdefault("components", {})
        components.setdefault("schemas", {})["ProblemDetails"] = ProblemDetails.model_json_schema()
        components["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer"},
            "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
        }
        schema["security"] = [{}, {"token": []}, {"session": []}]
        for path, operations in schema["paths"].items():
            if "202" in operations.get("post", {}).get("responses", {}):
                _add_key(operations["post"])
            for operation in operations.values():
                _add_examples(path, operation)
        app.openapi_schema = schema
    return app.openapi_schema


def _add_key(operation: dict[str, Any]) -> None:
    """Of what starts work: the key that keeps it from being started twice."""
    others = [one for one in operation.get("parameters", []) if one["name"].lower() != HEADER.lower()]
    operation["parameters"] = [*others, _KEY]
    for status, response in problems(409, 413, 422).items():
        operation["responses"].setdefault(str(status), response)


def _add_examples(path: str, operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", []):
        schema = parameter["schema"]
        takes_list = schema.get("type") == "array"
        # One of a few words needs none: the words are there.
        told = "example" in parameter or "examples" in schema or (not takes_list and "'enum'" in str(schema))
        if not told and (example := PARAMETERS.get(parameter["name"])) is not None:
            parameter["example"] = example[0] if isinstance(example, list) and not takes_list else example
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None and path in BODIES:
        body["example"] = BODIES[path]
