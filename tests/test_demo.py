"""What `thatdam demo` shows is true of its sample footage."""

from pathlib import Path
from typing import Any

from thatdam_pipelines import demo
from thatdam_pipelines.library.catalog import run_sql


def test_the_table_names_what_each_sample_shows_and_nothing_else(footage: Any) -> None:
    captions = {file.path.name: " ".join(shown.caption for shown in file.shown) for file in footage.files if file.shown}
    tags = {Path(row["name"]).name: row["tags"] for row in run_sql(footage.settings, demo.SQL).to_dicts()}
    assert len(captions) >= 4
    for name, caption in captions.items():
        named = (tags[name] or "").split(", ")
        # Captions may speak of several: "red flowers".
        unshown = [tag for tag in named if not all(f" {word}" in f" {caption}" for word in tag.split())]
        assert len(named) >= 2 and unshown == [], (name, named, caption)
