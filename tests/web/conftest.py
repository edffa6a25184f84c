"""The web application over the sample footage, asked as a browser on this machine would."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from thatdam_pipelines.web.app import create_app


@pytest.fixture(scope="session")
def web(footage: Any) -> Iterator[TestClient]:
    """Read-only: the library is everybody's."""
    with TestClient(create_app(footage.settings), base_url="http://localhost") as client:
        yield client
