"""What a workflow's text may be; what is wrong is told with its line, column and step, all of it at once."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from thatdam_pipelines.errors import Problem, SettingsError, WorkflowError
from thatdam_pipelines.workflows.actions import ACTIONS
from thatdam_pipelines.workflows.document import LONGEST, read_workflow, text_of
from thatdam_pipelines.workflows.schema import workflow_schema

ROOT = Path(__file__).parents[2]


def wrong(text: str, **given: Any) -> list[Problem]:
    with pytest.raises(WorkflowError) as raised:
        read_workflow(text, "nightly.json", given)
    return raised.value.problems


def test_one_step_alone_is_a_workflow() -> None:
    (step,) = read_workflow('{"action": "search", "query": "sunset", "limit": 3}', "-").steps
    assert step.action == "search" and step.model_dump()["limit"] == 3


def test_everything_that_is_wrong_is_told_with_its_place() -> None:
    text = """{
  "workflow": [
    {"action": "serch", "query": "x"},
    {"action": "search",
\t "qery": "x", "limit": "many"},
    {"action": "rate", "rating": 9},
    {"action": "ingest"},
    {"query": "x"}
  ]
}"""
    told = [(one.line, one.column, one.where) for one in wrong(text)]
    assert told == [
        (3, 16, "step 1 (serch)"),
        (5, 3, "step 2 (search)"),
        (5, 25, "step 2 (search)"),
        (6, 34, "step 3 (rate)"),
        (7, 5, "step 4 (ingest)"),
        (8, 5, "step 5"),
    ]
    with pytest.raises(
        WorkflowError, match=r"nightly.json: line 3, column 16: step 1 \(serch\): .* Do you mean search"
    ):
        read_workflow(text, "nightly.json")


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('{"workflow": [\n  {"action": "search",}\n]}', 2, 23),
        ("", 1, 1),
        ("[]", 1, 1),
        ('{"workflow": []}', 1, 14),
        ('{"workflow": [1]}', 1, 15),
        ('{"on_eror": "stop",\n "workflow": [{"action": "retry"}]}', 1, 2),
        ('{\n"on_error": "never", "workflow": [{"action": "retry"}]}', 2, 13),
        ('{"a":' * 20_000, 1, 1),
        ('{"action": "search", "query": ' + "[" * 500 + "]" * 500 + "}", 1, 1),
        ('{"action": "\\ud800"}', 1, 12),
        ('{"action": "retry", "\\ud800": 1}', 1, 1),
        ('{"variables": {"n": {"type": "number", "default": 1' + "0" * 400 + '}}, "workflow": [{}]}', 1, 21),
        (" " * (LONGEST + 1), 1, 1),
    ],
)
def test_what_is_no_workflow_is_refused_with_the_place(text: str, line: int, column: int) -> None:
    first = wrong(text)[0]
    assert (first.line, first.column) == (line, column) and first.cause and first.next_step
    assert str(first).encode()


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(WorkflowError, match="UTF-8"):
        text_of(tmp_path / "a.json")
    with pytest.raises(SettingsError, match=r"none\.json"):
        text_of(tmp_path / "none.json")


STEP = '"workflow": [{"action": "search", "query": "${what} in ${place}", "limit": "${most}"}]}'
VARIABLES = '{"variables": {"what": "sunset", "most": 5, "place": {"type": "string"}}, ' + STEP


def test_variables_are_put_in_with_their_type() -> None:
    (step,) = read_workflow(VARIABLES, "-", {"place": "Paris", "most": "7"}).steps
    assert (step.model_dump()["query"], step.model_dump()["limit"]) == ("sunset in Paris", 7)
    (step,) = read_workflow(
        '{"variables": {"q": 1}, "workflow": [{"action": "search", "query": "$${q} ${q}"}]}', "-"
    ).steps
    assert step.model_dump()["query"] == "${q} 1"


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({}, "variable place has no value"),
        ({"place": "Paris", "plaze": "x"}, "there is no variable plaze"),
        ({"place": "Paris", "most": "many"}, "variable most: 'many' is no integer"),
        ({"place": "Paris", "most": "1.5"}, "variable most: '1.5' is no integer"),
        ({"place": "Paris", "most": True}, "variable most: True is no integer"),
    ],
)
def test_a_value_that_cannot_be_is_refused(given: dict[str, Any], cause: str) -> None:
    assert [one.cause for one in wrong(VARIABLES, **given)] == [cause]


def test_a_variable_that_nobody_declared_is_refused_where_it_stands() -> None:
    (problem,) = wrong('{"workflow": [\n {"action": "tag",\n  "add": ["a", "${who}"], "media": ["x"]}]}')
    assert (problem.line, problem.column, problem.cause) == (3, 10, "there is no variable who")


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False)])
def test_a_truth_is_read_as_one(text: str, value: bool) -> None:
    document = '{"variables": {"wait": false}, "workflow": [{"action": "ingest", "paths": ["a"], "wait": "${wait}"}]}'
    (step,) = read_workflow(document, "-", {"wait": text}).steps
    assert step.model_dump()["wait"] is value
    assert [one.cause for one in wrong(document, wait="perhaps")] == ["variable wait: 'perhaps' is no boolean"]


def test_a_step_follows_the_workflow_in_what_happens_after_it_fails() -> None:
    text = '{"on_error": "stop", "workflow": [{"action": "retry"}, {"action": "retry", "on_error": "continue"}]}'
    assert [step.on_error for step in read_workflow(text, "-").steps] == ["stop", "continue"]
    assert read_workflow('{"action": "retry"}', "-").steps[0].on_error == "continue"


def test_the_schema_accepts_what_is_accepted_and_refuses_what_is_refused() -> None:
    schema = workflow_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = ['{"action": "retry"}', VARIABLES, '{"$schema": "x", "name": "n", "workflow": [{"action": "backup"}]}']
    bad = ['{"action": "serch"}', '{"workflow": []}', '{"action": "ingest"}', '{"action": "rate", "rating": 9}']
    assert [validator.is_valid(json.loads(text)) for text in (*good, *bad)] == [True] * 3 + [False] * 4
    for text in bad:
        assert wrong(text)


def test_the_published_schema_and_the_document_are_those_of_the_code() -> None:
    assert json.loads((ROOT / "docs/workflow.schema.json").read_text()) == workflow_schema()
    text = (ROOT / "docs/workflows.md").read_text()
    for name, kind in ACTIONS.items():
        section = text.partition(f"### `{name}`")[2].partition("###")[0]
        assert str(kind.__doc__).splitlines()[0] in section, name
        for field, info in kind.model_fields.items():
            assert field in ("action", "on_error") or f"| `{info.alias or field}` | {info.description} |" in section, (
                name,
                field,
            )
