"""The API describes itself: each operation in words and by examples, which are what it takes."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from thatdam_pipelines import web
from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web.app import create_app
from thatdam_pipelines.web.examples import BODIES, PARAMETERS
from thatdam_pipelines.web.problems import STATUS_OF

DOCS = Path(__file__).parents[2] / "docs" / "api.md"
WEB = Path(web.__file__).parent
Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    made = settings.model_copy(update={"dagster_port": 1})
    with TestClient(create_app(made), base_url="http://localhost") as client:
        yield client


@pytest.fixture
def described(client: TestClient) -> dict[str, Any]:
    return dict(client.get("/openapi.json").json())


@pytest.fixture
def operations(described: dict[str, Any]) -> list[Operation]:
    found = [(method, path, told) for path, methods in described["paths"].items() for method, told in methods.items()]
    assert len(found) > 50
    return found


def test_each_operation_is_told_in_words_and_its_problems_with_it(operations: list[Operation]) -> None:
    for method, path, told in operations:
        assert told["description"].rstrip().endswith((".", "`")), (method, path)
        for status, response in told["responses"].items():
            if int(status) >= 400:
                assert "application/problem+json" in response["content"], (method, path, status)


def test_whatever_an_operation_needs_has_an_example(described: dict[str, Any], operations: list[Operation]) -> None:
    models = described["components"]["schemas"]
    for method, path, told in operations:
        for parameter in told.get("parameters", []):
            shown = "example" in parameter or {"examples", "enum"} & set(parameter["schema"])
            assert shown or not parameter.get("required"), (method, path, parameter["name"])
        body = told.get("requestBody", {}).get("content", {}).get("application/json")
        if body is not None:
            model = models.get(body["schema"].get("$ref", "").rpartition("/")[2], {})
            examples = [field.get("examples") for field in model.get("properties", {}).values()]
            assert "example" in body or "example" in model or any(examples), (method, path)


def test_examples_are_of_what_there_is_and_are_taken_as_they_stand(
    client: TestClient, operations: list[Operation]
) -> None:
    assert set(BODIES) <= {path for _, path, _ in operations}
    named = {parameter["name"] for _, _, told in operations for parameter in told.get("parameters", [])}
    assert set(PARAMETERS) <= named
    for method, path, told in operations:
        shown = {(one["in"], one["name"]): _shown(one) for one in told.get("parameters", []) if _shown(one) is not None}
        url = path.replace("{name}", "proxy").replace("{album}", "Summer")
        for (place, name), value in shown.items():
            url = url.replace(f"{{{name}}}", str(value)) if place == "path" else url
        query = {name: value for (place, name), value in shown.items() if place == "query"}
        headers = {name: str(value) for (place, name), value in shown.items() if place == "header"}
        body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        if "{" in url or path.endswith("/events"):
            continue
        answer = client.request(method.upper(), url, params=query, headers=headers, json=body)
        if body is not None or "requestBody" not in told:
            assert answer.status_code != 500 and "values that cannot be" not in answer.text, (method, url, answer.text)


def _shown(parameter: dict[str, Any]) -> Any:
    return parameter.get("example", next(iter(parameter["schema"].get("examples", [])), None))


def test_every_address_of_the_api_stands_in_its_documentation(operations: list[Operation]) -> None:
    text = DOCS.read_text()
    missing = [path for _, path, _ in operations if path.startswith("/api/v1/") and not _told(path, text)]
    assert missing == []


def _told(path: str, text: str) -> bool:
    """Tables leave out `/api/v1`, and `/media/{media_id}` of what stands beside it."""
    short = path.removeprefix("/api/v1")
    return any(one in text for one in (path, f"`{short}", f"`{short.removeprefix('/media/{media_id}')}`"))


def test_every_type_of_problem_is_listed() -> None:
    source = "".join(path.read_text() for path in sorted(WEB.glob("*.py")))
    names = {found[1] for found in re.finditer(r"""(?:Refusal|_refused)\(\s*\d{3},\s*"([a-z-]+)\"""", source)}
    names |= {kind.__name__.removesuffix("Error").lower() for kind in STATUS_OF}
    assert len(names) > 30
    text = DOCS.read_text()
    assert sorted(name for name in names if f"`{name}`" not in text) == []
