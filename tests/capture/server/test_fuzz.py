"""Whatever is sent, the answer is one that the API documents: never a fault."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CHECKS, load_all_checks

EXAMPLES = 30

# A signature of its own kind of body: schemathesis knows JSON and forms.
schemathesis.serializer("application/sdp")(lambda _context, value: str(value).encode("utf-8", "replace"))
load_all_checks()
CHECKED = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "response_headers_conformance",
        "unsupported_method",
        "negative_data_rejection",
    )
]


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: str(mode.value))
def test_every_answer_is_a_documented_one(recorder: Any, mode: schemathesis.GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{recorder.url}/openapi.json")
    asked = set()
    # MJPEG has no end; it is asked for elsewhere.
    for operation in (one.ok() for one in schema.exclude(path_regex="/stream$").get_all_operations()):

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            case.call_and_validate(checks=CHECKED, timeout=30)
            asked.add(case.operation.label)

        # Some operations take nothing that could be wrong.
        with contextlib.suppress(Unsatisfiable):
            ask()
    assert len(asked) >= (15 if mode is schemathesis.GenerationMode.POSITIVE else 6), asked


@pytest.fixture(scope="module")
def stopping(recorder: Any) -> Iterator[Any]:
    yield recorder
    for session in recorder.http.get("/v1/sessions").json():
        recorder.http.post(f"/v1/record/{session['id']}/stop")


numbers = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.text(max_size=3), st.none())
texts = st.one_of(st.text(max_size=80), st.none(), st.integers())


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    body=st.fixed_dictionaries(
        {"camera_ids": st.just(["cam1"])},
        optional={
            "group": texts,
            "roles": st.dictionaries(st.text(max_size=5), st.sampled_from(["cam1", "cam2", "x"]), max_size=3),
            "segment_s": numbers,
            "max_s": numbers,
            "profile": st.one_of(texts, st.sampled_from(["h264", "ffv1", "prores", "copy"])),
        },
    ),
    take=st.text(min_size=1, max_size=30),
)
def test_recording_a_camera_that_is_there_never_faults(stopping: Any, body: dict[str, Any], take: str) -> None:
    answer = stopping.http.post("/v1/record", json=body)
    assert answer.status_code in (201, 400, 409, 422), answer.text
    for session in answer.json().get("sessions", []):
        assert stopping.http.post(f"/v1/record/{session['id']}/stop").status_code == 200
    path = "/v1/record/" + "".join(f"%{byte:02x}" for byte in take.encode()) + "/stop"
    assert stopping.http.post(path).status_code in (200, 404, 405, 422)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b'{"camera_ids": NaN}',
        b'{"camera_ids": ["cam1"], "max_s": 1e999}',
        b'{"camera_ids": ["cam1"], "max_s": NaN}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ],
)
def test_bodies_that_are_no_request_are_refused(recorder: Any, raw: bytes) -> None:
    answer = recorder.http.post("/v1/record", content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("before", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "0", "1e400", "now"])
def test_times_at_the_ends_of_the_calendar_do_no_harm(recorder: Any, before: str) -> None:
    assert recorder.http.get("/v1/recordings", params={"before": before}).status_code in (200, 422)
