"""Whatever is sent, the answer is one that the API documents: never a fault."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CHECKS, load_all_checks

from tests.web.serving import serving
from thatdam_pipelines.settings import Settings

EXAMPLES = 8

load_all_checks()
CHECKED = [
    CHECKS.get_one(name) for name in ("not_a_server_error", "content_type_conformance", "response_schema_conformance")
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty library's application, that may be changed."""
    home = tmp_path_factory.mktemp("fuzz") / "home"
    with serving(Settings(home=home, embedder="descriptor", workers=1, dagster_port=1)) as made:
        yield made


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: str(mode.value))
def test_no_request_is_answered_with_a_fault(url: str, mode: schemathesis.GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    asked = set()
    # Events have no end; they are heard elsewhere.
    for operation in (one.ok() for one in schema.exclude(path_regex="/events$").get_all_operations()):

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            answer = case.call(timeout=60)
            # Without a Dagster and with an empty library, 503 says what is not up: that is no fault.
            if answer.status_code != 503:
                case.validate_response(answer, checks=CHECKED)
            assert answer.status_code != 500, answer.text
            asked.add(case.operation.label)

        # Some operations take nothing that could be wrong.
        with contextlib.suppress(Unsatisfiable):
            ask()
    assert len(asked) >= 15, asked
