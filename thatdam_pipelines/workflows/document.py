"""Reading a workflow: JSON in, checked steps out, or all that is wrong with the place of each."""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from json_source_map import calculate
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from thatdam_pipelines.errors import Problem, SettingsError, WorkflowError
from thatdam_pipelines.workflows.action import Action, OnError
from thatdam_pipelines.workflows.actions import ACTIONS
from thatdam_pipelines.workflows.variables import NAME, Scalar, Variable, declared, put_in, value_of

LONGEST = 100_000
"""Characters of a workflow."""
MOST_STEPS = 500
VariableName = Annotated[str, Field(pattern=f"^{NAME}$")]
_READ_ON = "See docs/workflows.md."


class Document(BaseModel):
    """A workflow as it is written."""

    model_config = ConfigDict(extra="forbid", strict=True)

    schema_url: str | None = Field(None, alias="$schema", description="Address of the JSON Schema, for editors.")
    name: str | None = Field(None, max_length=200, description="What it is called; else its file's name.")
    description: str | None = Field(None, description="What it is for.")
    variables: dict[VariableName, Scalar | Variable] = Field({}, description="Values that --set may change, by name.")
    on_error: OnError = Field("continue", description="What follows a step that fails: the next step, or the end.")
    workflow: list[dict[str, Any]] = Field(min_length=1, max_length=MOST_STEPS, description="The steps, in order.")


@dataclass(frozen=True)
class Workflow:
    """A workflow that can be run: variables are put in, and every step knows what follows when it fails."""

    name: str | None
    steps: list[Action]


def read_workflow(text: str, subject: object, given: Mapping[str, Scalar] | None = None) -> Workflow:
    """Read a workflow: ``{"workflow": [step, ...]}``, or one step.

    Args:
        subject: Its file, or what errors call it.
        given: Values of its variables; text is read as the variable's type.

    Raises:
        WorkflowError: With everything that is wrong.
    """
    try:
        return _read(_Reading(text, subject), given or {})
    except RecursionError as error:
        raise WorkflowError(subject, [Problem(1, 1, "", "it is nested too deeply", _READ_ON)]) from error


def text_of(path: Path) -> str:
    """The text of a workflow's file.

    Raises:
        SettingsError: There is no such file, or it cannot be read.
        WorkflowError: It is no text.
    """
    try:
        return decoded(path.read_bytes(), path)
    except OSError as error:
        cause = f"it cannot be read ({error.strerror})"
        raise SettingsError(path, cause, "Name a file, or - for standard input.") from error


def decoded(raw: bytes, subject: object) -> str:
    """A workflow as text.

    Raises:
        WorkflowError: It is none.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WorkflowError(subject, [Problem(1, 1, "", "it is no text in UTF-8", "Save it as UTF-8.")]) from error


def _read(reading: "_Reading", given: Mapping[str, Scalar]) -> Workflow:
    raw = reading.parsed()
    single = "workflow" not in raw
    document = reading.document({"workflow": [raw]} if single else raw)
    values = reading.values(document, given)
    places = ["" if single else f"/workflow/{index}" for index in range(len(document.workflow))]
    steps = [
        reading.step(number, step, values, place)
        for number, (step, place) in enumerate(zip(document.workflow, places, strict=True), start=1)
    ]
    reading.finish()
    follows = {"on_error": document.on_error}
    return Workflow(
        document.name, [step if step.on_error else step.model_copy(update=follows) for step in steps if step]
    )


class _Reading:
    """One text being read; what is wrong is gathered."""

    def __init__(self, text: str, subject: object) -> None:
        self._text = text
        self._subject = subject
        self._problems: list[Problem] = []
        self._places: dict[str, Any] | None = None

    def parsed(self) -> dict[str, Any]:
        """The JSON object that the text is."""
        if len(self._text) > LONGEST:
            raise self._at_once(1, 1, f"it has more than {LONGEST} characters", "Make several workflows of it.")
        try:
            raw = json.loads(self._text)
        except json.JSONDecodeError as error:
            next_step = "Correct the JSON there."
            raise self._at_once(error.lineno, error.colno, f"this is no JSON ({error.msg})", next_step) from error
        except ValueError as error:
            raise self._at_once(1, 1, "it holds a number of too many digits", _READ_ON) from error
        if not isinstance(raw, dict):
            raise self._at_once(1, 1, "a workflow is an object", 'Write {"workflow": [...]}, or one step.')
        return raw

    def document(self, raw: dict[str, Any]) -> Document:
        """What is around the steps."""
        try:
            return Document.model_validate(raw)
        except ValidationError as error:
            for detail in error.errors():
                self._add_detail(detail, "", "", sorted(_names_of(Document)))
            raise self._error() from error

    def values(self, document: Document, given: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """The value of every variable."""
        known = {name: declared(one) for name, one in document.variables.items()}
        there = f"There are: {', '.join(known)}." if known else 'Declare it in "variables".'
        for name in given.keys() - known.keys():
            self._add("/variables" if known else "", "", f"there is no variable {name}", there)
        values: dict[str, Scalar] = {}
        for name, variable in known.items():
            value = given.get(name, variable.default)
            place = f"/variables/{_escaped(name)}"
            if value is None:
                self._add(place, "", f"variable {name} has no value", f"Set it: --set {name}=...")
                continue
            try:
                values[name] = value_of(variable, value)
            except (ValueError, OverflowError) as error:
                self._add(place, "", f"variable {name}: {error}", "Give it a value of its type.")
        if self._problems:
            raise self._error()
        return values

    def step(self, number: int, raw: dict[str, Any], values: Mapping[str, Scalar], place: str) -> Action | None:
        """A checked step; None when something is wrong with it."""
        name = raw.get("action")
        kind = ACTIONS.get(name) if isinstance(name, str) else None
        where = f"step {number}" + (f" ({name})" if isinstance(name, str) else "")
        if kind is None:
            self._add_unknown(raw, place, where)
            return None
        filled = self._filled(raw, values, place, where)
        try:
            # As JSON, where a text may be a path or a day, while true is no number.
            return kind.model_validate_json(json.dumps(filled), strict=True)
        except ValidationError as error:
            for detail in error.errors():
                self._add_detail(detail, place, where, sorted(_names_of(kind)))
        return None

    def finish(self) -> None:
        """Raise what is wrong, if anything is."""
        if self._problems:
            raise self._error()

    def _filled(self, raw: dict[str, Any], values: Mapping[str, Scalar], place: str, where: str) -> dict[str, Any]:
        filled = {}
        for key, value in raw.items():
            try:
                filled[key] = put_in(value, values)
            except KeyError as error:
                there = f"There are: {', '.join(values)}." if values else 'Declare it in "variables".'
                self._add(f"{place}/{_escaped(key)}", where, f"there is no variable {error.args[0]}", there)
                raise self._error() from error
        return filled

    def _add_unknown(self, raw: dict[str, Any], place: str, where: str) -> None:
        name = raw.get("action")
        if name is None:
            next_step = 'Name one: {"action": "search", ...}.'
            self._add(place, where, "it names no action", next_step)
            return
        close = difflib.get_close_matches(str(name), ACTIONS, n=1)
        meant = f"Do you mean {close[0]}? " if close else ""
        self._add(f"{place}/action", where, f"there is no action {name!r}", f"{meant}There are: {', '.join(ACTIONS)}.")

    def _add_detail(self, detail: ErrorDetails, place: str, where: str, names: Sequence[str]) -> None:
        parts = [str(part) for part in detail["loc"]]
        pointer = place + "".join(f"/{_escaped(part)}" for part in parts)
        field = ".".join(parts)
        takes = f"It takes {', '.join(names)}."
        if detail["type"] == "extra_forbidden":
            self._add(pointer, where, f"there is no parameter {field}", takes, at_key=True)
        elif detail["type"] == "missing":
            self._add(pointer, where, f"{field} is missing", takes)
        else:
            self._add(pointer, where, f"{field}: {detail['msg']}" if field else detail["msg"], _READ_ON)

    def _add(self, pointer: str, where: str, cause: str, next_step: str, *, at_key: bool = False) -> None:
        line, column = self._place_of(pointer, at_key=at_key)
        self._problems.append(Problem(line, column, _writable(where), _writable(cause), next_step))

    def _place_of(self, pointer: str, *, at_key: bool) -> tuple[int, int]:
        """Line and column, from 1, of what a JSON pointer leads to; else of the next thing around it that is there."""
        if self._places is None:
            # Only a text with something wrong pays for this.
            self._places = calculate(self._text)
        while pointer and pointer not in self._places:
            pointer = pointer.rpartition("/")[0]
        entry = self._places[pointer]
        start = entry.key_start if at_key and entry.key_start else entry.value_start
        return start.line + 1, start.column + 1

    def _at_once(self, line: int, column: int, cause: str, next_step: str) -> WorkflowError:
        return WorkflowError(self._subject, [Problem(line, column, "", cause, next_step)])

    def _error(self) -> WorkflowError:
        return WorkflowError(self._subject, sorted(self._problems, key=lambda one: (one.line, one.column)))


def _names_of(kind: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in kind.model_fields.items()}


def _writable(text: str) -> str:
    """A text that may name half a character, as JSON can, so that it can be written anywhere."""
    return text.encode("utf-8", "backslashreplace").decode()


def _escaped(part: str) -> str:
    """A part of a JSON pointer (RFC 6901)."""
    return part.replace("~", "~0").replace("/", "~1")
