"""The toolbox's class, and its search by media type."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.test_cli import Run
from thatdam_pipelines import MediaIndexer
from thatdam_pipelines.errors import QueryError
from thatdam_pipelines.settings import Settings


def test_a_folder_is_scanned_found_and_counted_from_python(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    Image.new("RGB", (64, 48), "red").save(tmp_path / "archive" / "sunset.png")
    indexer = MediaIndexer(settings)
    assert indexer.get_recent() == [] and indexer.stats()["total_files"] == 0
    assert indexer.scan(tmp_path / "archive") == {"processed": 1, "errors": 0, "total_files": 1}
    assert [clip["name"] for clip in indexer.get_recent()] == ["sunset.png"]
    assert indexer.stats()["by_mime"][0]["mime"] == "image/png"
    assert [Path(found["path"]).name for found in indexer.search("sunset", "image")] == ["sunset.png"]
    assert indexer.search("sunset", "video/*") == []
    Image.new("RGB", (64, 48), "blue").save(tmp_path / "beach.png")
    assert [row["status"] for row in indexer.ingest(tmp_path / "beach.png")["media"]] == ["stored"]


def test_a_search_is_narrowed_by_media_type(run: Run, footage: Any) -> None:
    def names(*mime: str) -> set[str]:
        return {Path(one["path"]).name for one in run(footage.settings, "search", "CLIP0001", *mime, "--json").data}

    assert "CLIP0001.MOV" in names() & names("--mime", "video") & names("--mime", "video/quicktime")
    assert "CLIP0001.MOV" not in names("--mime", "image/*")
    assert run(footage.settings, "search", "CLIP0001", "--mime", "x'; DROP").code == 2


def test_what_is_no_media_type_is_refused(settings: Settings) -> None:
    with pytest.raises(QueryError, match="no media type"):
        MediaIndexer(settings).search("sunset", "video/'")


def test_importing_the_package_imports_nothing_else() -> None:
    program = "import sys, thatdam_pipelines; print(sorted(m for m in sys.modules if m.startswith('thatdam_')))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "['thatdam_pipelines']"
