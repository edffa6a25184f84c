"""The JSON Schema of workflows, for editors: made of the same models that check them."""

from typing import Any

from pydantic.json_schema import models_json_schema

from thatdam_pipelines.workflows.actions import ACTIONS
from thatdam_pipelines.workflows.document import Document
from thatdam_pipelines.workflows.variables import NAME

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE = {"type": "string", "pattern": rf"^\$\{{{NAME}\}}$", "description": "A variable of the workflow."}
_PLAIN = ("action", "on_error")


def workflow_schema() -> dict[str, Any]:
    """The schema of a workflow file: a workflow, or one step. Where no text fits, a variable does."""
    kinds = [(kind, "validation") for kind in (*ACTIONS.values(), Document)]
    _, made = models_json_schema(kinds, ref_template="#/$defs/{model}")  # type: ignore[arg-type]
    parts = made["$defs"]
    steps = [{"$ref": f"#/$defs/{kind.__name__}"} for kind in ACTIONS.values()]
    for kind in ACTIONS.values():
        properties = parts[kind.__name__]["properties"]
        for name in properties.keys() - {*_PLAIN}:
            properties[name] = _or_variable(properties[name])
    parts["Step"] = {"oneOf": steps, "description": "One step: an action and its parameters."}
    parts["Document"]["properties"]["workflow"]["items"] = {"$ref": "#/$defs/Step"}
    return {
        "$schema": DIALECT,
        "title": "thatdam workflow",
        "anyOf": [{"$ref": "#/$defs/Document"}, {"$ref": "#/$defs/Step"}],
        "$defs": dict(sorted(parts.items())),
    }


def _or_variable(declared: dict[str, Any]) -> dict[str, Any]:
    if declared.get("type") == "string" and "enum" not in declared and "const" not in declared:
        return declared
    around = {name: declared[name] for name in ("title", "description", "default") if name in declared}
    return around | {"anyOf": [{key: value for key, value in declared.items() if key not in around}, _VARIABLE]}
