"""The web application over the sample footage: asked as a browser on this machine would, and by a real Chromium."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from fastapi.testclient import TestClient

from tests.web.serving import serving
from thatdam_pipelines.library.catalog import publish
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web.app import create_app

LIMIT_MS = 120_000
"""The first search loads the model, on a machine that may have much else to do."""
SCREENSHOTS = Path(os.environ.get("SCREENSHOTS", Path(__file__).parents[2] / "build" / "screenshots"))
"""Where each page that is checked is kept as a picture, by the test that checked it, to be looked at."""
ANSWERED = "() => document.body.dataset.state === 'answered' && document.body.dataset.answered === location.search"


@pytest.fixture(scope="session")
def web(footage: Any) -> Iterator[TestClient]:
    """Read-only: the library is everybody's."""
    with TestClient(create_app(footage.settings), base_url="http://localhost") as client:
        yield client


@dataclass
class Opened:
    """A page of the Explorer, and what it asked for and complained of."""

    page: Any
    url: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    kept: int = 0

    def goto(self, path: str) -> "Opened":
        self.page.goto(self.url + path)
        return self

    def wait(self, script: str, argument: Any = None) -> None:
        self.page.wait_for_function(script, arg=argument)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def answered(self) -> "Opened":
        """Wait until what the address bar asks for is shown."""
        self.wait(ANSWERED)
        return self

    def search(self, words: str) -> "Opened":
        self.page.fill("#q", words)
        self.page.press("#q", "Enter")
        self.page.wait_for_url("**q=*")
        return self.answered()

    @property
    def names(self) -> list[str]:
        return self.page.locator(".card .name b").all_inner_texts()  # type: ignore[no-any-return]

    def keep(self) -> None:
        """Keep a picture of what is shown."""
        test = os.environ["PYTEST_CURRENT_TEST"].rpartition("::")[2].partition(" (")[0]
        name = re.sub(r"[^a-z0-9]+", "-", test.removeprefix("test_").lower()).strip("-")[:100]
        self.kept += 1
        self.page.screenshot(path=SCREENSHOTS / f"{name}-{self.kept}.jpg", type="jpeg", quality=75)

    def check(self) -> None:
        """It complained of nothing, asked nobody else, and is fit for people who cannot see or point."""
        assert self.complaints == []
        assert [one for one in self.requests if not one.startswith((self.url, "blob:"))] == []
        # A picture that is still fading in has other colours than it will have.
        self.page.wait_for_function("() => document.getAnimations().every((one) => one.playState !== 'running')")
        found = Axe().run(self.page).response["violations"]
        self.keep()
        grave = [one for one in found if one["impact"] in ("serious", "critical")]
        assert not grave, [(one["id"], [node["html"] for node in one["nodes"]]) for one in grave]


@pytest.fixture
def own(footage: Any, tmp_path: Path) -> Settings:
    """The sample library with a ledger of this test's own."""
    database = tmp_path / "library.db"
    for suffix in ("", "-wal", "-shm"):
        if (source := footage.settings.home / f"library.db{suffix}").exists():
            shutil.copyfile(source, f"{database}{suffix}")
    shutil.copytree(footage.settings.tables_dir, tmp_path / "tables")
    settings: Settings = footage.settings.model_copy(
        update={
            "media": footage.settings.media_url,
            "database": f"sqlite:///{database}",
            "tables": tmp_path / "tables",
            "catalog": tmp_path / "catalog.duckdb",
        }
    )
    with Library(settings) as library:
        publish(library)
    return settings


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[Settings], str]]:
    """Serves the library of some settings; gives the address."""
    with ExitStack() as servers:
        yield lambda settings: servers.enter_context(serving(settings))


@pytest.fixture(scope="module")
def address(serve: Callable[[Settings], str], footage: Any) -> str:
    return serve(footage.settings)


@pytest.fixture
def opened(browser: Any, address: str) -> Iterator[Callable[..., Opened]]:
    contexts = []

    def made(path: str = "/", width: int = 1280, height: int = 800, scheme: str = "dark", url: str = "") -> Opened:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        context.set_default_timeout(LIMIT_MS)
        contexts.append(context)
        explorer = Opened(context.new_page(), url or address)
        explorer.page.on("request", lambda request: explorer.requests.append(request.url))
        explorer.page.on("pageerror", lambda error: explorer.complaints.append(str(error)))
        explorer.page.on("console", lambda said: said.type == "error" and explorer.complaints.append(said.text))
        return explorer.goto(path)

    yield made
    for context in contexts:
        context.close()
