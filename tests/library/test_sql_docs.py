"""docs/sql.md is held to the catalogue. ``python tests/library/test_sql_docs.py`` writes its generated parts."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from thatdam_pipelines.library import catalog
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.samples.library_rows import made_up_batch, write_batch
from thatdam_pipelines.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "sql.md"
TEXT = PAGE.read_text(encoding="utf-8")


def generated() -> dict[str, str]:
    """The parts of the page that come from the SQL files and the schemas."""
    queries = ["| name | answers |", "|---|---|"]
    queries += [f"| `{query.name}` | {query.title} |" for query in catalog.list_queries()]
    views = []
    for view in catalog.list_views():
        views += [f"### {view.name}", "", view.description, "", "| column | type | |", "|---|---|---|"]
        views += [f"| `{c['name']}` | {_type(c['type'])} | {_cell(c['description'])} |" for c in view.columns]
        views.append("")
    return {"queries": "\n".join(queries), "views": "\n".join(views).strip()}


def _type(name: str) -> str:
    return name.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def written(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", TEXT, flags=re.DOTALL)
    assert found, f"the page has no part {name}"
    return found[1]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    settings = Settings(home=tmp_path_factory.mktemp("docs"))
    with Library(settings) as library:
        write_batch(library.tables, "b1", made_up_batch("b1", 5))
        catalog.publish(library)
    yield settings


@pytest.mark.parametrize("part", ["queries", "views"])
def test_the_page_lists_every_view_column_and_query_as_they_are(part: str) -> None:
    assert written(part) == generated()[part], "run: python tests/library/test_sql_docs.py"


@pytest.mark.parametrize("example", re.findall(r"```sql\n(.*?)```", TEXT, flags=re.DOTALL))
def test_every_query_of_the_page_runs(filled: Settings, example: str) -> None:
    catalog.run_sql(filled, example)


@pytest.mark.parametrize("command", re.findall(r"^thatdam sql (.+)$", TEXT, flags=re.MULTILINE))
def test_every_command_of_the_page_asks_something_there_is(filled: Settings, command: str) -> None:
    names = {query.name: query.sql for query in catalog.list_queries()}
    query = command.removesuffix(" --csv").strip('"')
    if query != "--list":
        catalog.run_sql(filled, names.get(query, query))


def test_the_python_of_the_page_runs(filled: Settings) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    scope: dict[str, object] = {"settings": filled}
    exec(example.replace("get_settings()", "settings"), scope)
    assert "frame" in scope


if __name__ == "__main__":
    for name, text in generated().items():
        TEXT = TEXT.replace(f"<!-- {name} -->\n{written(name)}", f"<!-- {name} -->\n{text}")
    PAGE.write_text(TEXT, encoding="utf-8")
