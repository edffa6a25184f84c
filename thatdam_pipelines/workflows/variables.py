"""Variables of a workflow: declared with a type, set from outside, put in where ``${name}`` stands."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Scalar = bool | int | float | str
Kind = Literal["string", "integer", "number", "boolean"]
NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_USE = re.compile(rf"(\$?)\$\{{({NAME})\}}")
_TRUTH = {"true": True, "false": False}
_KINDS: dict[type, Kind] = {bool: "boolean", int: "integer", float: "number", str: "string"}


class Variable(BaseModel):
    """A variable: its type, what it is when nobody sets it, and what it is for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Kind = Field("string", description="string, integer, number or boolean.")
    default: Scalar | None = Field(None, description="Its value when it is not set; null: it must be set.")
    description: str = Field("", description="What it is for.")


def declared(given: Scalar | Variable) -> Variable:
    """A variable as it is declared: in full, or by its default alone, which tells its type."""
    return given if isinstance(given, Variable) else Variable(type=_KINDS[type(given)], default=given)


def value_of(variable: Variable, given: Scalar) -> Scalar:
    """A value of the variable's type; text is read as that type.

    Raises:
        ValueError: It is none.
        OverflowError: It is greater than any number may be.
    """
    found: Scalar | None = given
    if isinstance(given, str) and variable.type != "string":
        found = _read(variable.type, given)
    if variable.type == "number" and type(found) is int:
        found = float(found)
    if found is None or _KINDS[type(found)] != variable.type:
        raise ValueError(f"{given!r} is no {variable.type}")
    return found


def put_in(value: Any, values: Mapping[str, Scalar]) -> Any:
    """A JSON value with variables put in. A text that is one variable and nothing else gets the value with its type.

    ``$${name}`` stands for ``${name}`` itself.

    Raises:
        KeyError: There is no such variable.
    """
    if isinstance(value, dict):
        return {key: put_in(one, values) for key, one in value.items()}
    if isinstance(value, list):
        return [put_in(one, values) for one in value]
    if not isinstance(value, str):
        return value
    if (whole := _USE.fullmatch(value)) and not whole[1]:
        return values[whole[2]]
    return _USE.sub(lambda use: f"${{{use[2]}}}" if use[1] else _text(values[use[2]]), value)


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(kind: Kind, text: str) -> Scalar | None:
    if kind == "boolean":
        return _TRUTH.get(text.lower())
    try:
        return int(text) if kind == "integer" else float(text)
    except ValueError:
        return None
