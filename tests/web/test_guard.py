"""What holds for every answer of the web application."""

import re
import subprocess
import sys

import pytest
from fastapi.testclient import TestClient

PATHS = ["/", "/health", "/stats", "/openapi.json", "/nothing", "/api/v1/media", "/api/v1/media/x", "/static/base.css"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_forbids_scripts_of_others_and_framing(web: TestClient, path: str) -> None:
    headers = web.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil", "", "169.254.169.254"])
def test_a_page_that_gives_its_own_name_our_address_is_refused(web: TestClient, host: str) -> None:
    answer = web.get("/api/v1/media", headers={"Host": host})
    assert answer.status_code == 400 and answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "localhost."])
def test_names_of_this_machine_are_answered(web: TestClient, host: str) -> None:
    assert web.get("/health", headers={"Host": host}).status_code == 200


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(web: TestClient) -> None:
    large = b"x" * (2 * 1024 * 1024)
    assert web.post("/health", content=large).status_code == 413
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = web.post("/api/v1/search", content=iter([b"x" * 1024 * 1024] * 40), headers=kind)
    assert answer.status_code in (400, 413)


PRIVATE = ["/", "/library", "/status", "/stats", "/api/v1/media", "/api/v1/search?q=red", "/api/v1/session", "/nothing"]


@pytest.mark.parametrize("path", PRIVATE)
def test_what_is_told_of_the_library_is_kept_by_no_browser(web: TestClient, path: str) -> None:
    assert web.get(path).headers["cache-control"] == "no-store"


def test_scripts_and_styles_are_kept_and_sent_again_only_when_they_changed(web: TestClient) -> None:
    page = web.get("/").text
    assets = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(assets) > 3
    for asset in assets:
        whole = web.get(asset)
        assert whole.status_code == 200 and whole.headers["cache-control"] == "no-cache", asset
        assert whole.headers["last-modified"]
        again = web.get(asset, headers={"If-None-Match": whole.headers["etag"]})
        assert again.status_code == 304 and not again.content and again.headers["cache-control"] == "no-cache"
        assert web.get(asset, headers={"If-None-Match": '"old"'}).status_code == 200
    assert web.get("/static/nothing.js").headers["cache-control"] == "no-store"


def test_pages_hold_no_script_and_no_style_of_their_own(web: TestClient) -> None:
    text = web.get("/").text
    assert "<script>" not in text and "style=" not in text and "<style" not in text and "onclick" not in text


def test_the_application_starts_without_what_is_heavy() -> None:
    heavy = "('torch', 'open_clip', 'chromadb', 'cv2', 'av', 'dagster')"
    code = f"import sys, thatdam_pipelines.web.app; print([name for name in {heavy} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert said.stdout.strip() == "[]"
