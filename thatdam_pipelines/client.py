"""A client of the REST API: ``with Client() as dam: dam.search("red circle")``."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from thatdam_pipelines.errors import OfflineError, QueryError

_PART_BYTES = 8 * 2**20
_TUS = {"Tus-Resumable": "1.0.0"}


class Client:
    """Talks to one web application. Use as a context manager.

    Args:
        url: Where it is.
        token: Bearer token, where it asks for a login.

    Every method raises ``QueryError`` when the request is refused, with the reason and the next step, and
    ``OfflineError`` when nothing answers.
    """

    def __init__(self, url: str = "http://127.0.0.1:8080", token: str | None = None, timeout_s: float = 120.0) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def search(self, words: str = "", *, image: Path | None = None, **filters: Any) -> list[dict[str, Any]]:
        """Moments that fit words, look like a picture (``image``) or like an instant (``like="<media id>@<s>"``)."""
        asked = {"q": words} | filters
        if image is None:
            answer = self._asked("GET", "/api/v1/search", params=asked)
        else:
            answer = self._asked("POST", "/api/v1/search", params=asked, files={"image": image.read_bytes()})
        return list(answer["items"])

    def media(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Every clip that fits the filters, page by page."""
        return self._pages("/api/v1/media", filters)

    def facets(self, **filters: Any) -> dict[str, list[dict[str, Any]]]:
        """What each filter could be set to, with how many clips that would leave."""
        return dict(self._asked("GET", "/api/v1/facets", params=filters)["facets"])

    def get(self, media_id: str) -> dict[str, Any]:
        """Everything known of a clip."""
        return dict(self._asked("GET", f"/api/v1/media/{media_id}"))

    def scenes(self, media_id: str) -> list[dict[str, Any]]:
        """The scenes of a clip with their tags."""
        return list(self._asked("GET", f"/api/v1/media/{media_id}/scenes")["items"])

    def stages(self, media_id: str) -> list[dict[str, Any]]:
        """The lineage of a clip: each stage, and what is missing and why."""
        return list(self._asked("GET", f"/api/v1/media/{media_id}/stages")["items"])

    def save(self, media_id: str, name: str, target: Path) -> Path:
        """Save a file of a clip, ``original``, ``proxy``, ``poster.jpg``, ..., at ``target``, which must not be there.

        Raises:
            FileExistsError: It is.
        """
        with target.open("xb") as kept:
            try:
                with self._http.stream("GET", f"/api/v1/media/{media_id}/{name}") as answer:
                    if answer.is_error:
                        answer.read()
                    for part in self._checked(answer).iter_bytes():
                        kept.write(part)
            except BaseException as error:
                target.unlink()
                if isinstance(error, httpx.HTTPError):
                    raise self._offline(error) from error
                raise
        return target

    def change(self, media_id: str, **fields: Any) -> dict[str, Any]:
        """Change what is said of a clip: ``rating=4, add_tags=["beach"]``."""
        return dict(self._asked("PATCH", f"/api/v1/media/{media_id}", json=fields))

    def change_many(self, media_ids: list[str], **fields: Any) -> list[dict[str, Any]]:
        """Change what is said of many clips: all or none."""
        changes = {"media_ids": media_ids, "change": fields}
        return list(self._asked("PATCH", "/api/v1/media", json=changes)["items"])

    def history(self, media_id: str) -> list[dict[str, Any]]:
        """Who changed what is said of a clip, and when; the latest change first."""
        return list(self._asked("GET", f"/api/v1/media/{media_id}/history")["items"])

    def albums(self) -> list[dict[str, Any]]:
        """The albums."""
        return list(self._asked("GET", "/api/v1/albums")["items"])

    def tags(self) -> list[dict[str, Any]]:
        """The vocabulary."""
        return list(self._asked("GET", "/api/v1/tags")["items"])

    def sql(self, query: str, most_rows: int = 1000) -> list[dict[str, Any]]:
        """Rows that answer a SELECT over the catalogue's views."""
        said = self._asked("POST", "/api/v1/sql", json={"query": query, "most_rows": most_rows})
        return [dict(zip(said["columns"], row, strict=True)) for row in said["rows"]]

    def stats(self) -> dict[str, Any]:
        """The library in numbers."""
        return dict(self._asked("GET", "/stats"))

    def views(self) -> list[dict[str, Any]]:
        """The views that ``sql`` asks, with their columns."""
        return list(self._asked("GET", "/api/v1/sql")["views"])

    def batches(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Every batch, newest first, page by page."""
        return self._pages("/api/v1/batches", filters)

    def batch(self, batch_id: str) -> dict[str, Any]:
        """A batch, its files, and which stages have run on it."""
        return dict(self._asked("GET", f"/api/v1/batches/{batch_id}"))

    def retry(self, batch_id: str, key: str | None = None) -> str:
        """Try the files of a batch again that failed; id of the job. The same ``key`` starts one, however often."""
        return str(self._asked("POST", f"/api/v1/batches/{batch_id}/retry", headers=_keyed(key))["job_id"])

    def back_up(self, key: str | None = None) -> str:
        """Take a snapshot at every target; id of the job. The same ``key`` starts one, however often."""
        return str(self._asked("POST", "/api/v1/backup", headers=_keyed(key))["job_id"])

    def jobs(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Every job, newest first, page by page."""
        return self._pages("/api/v1/jobs", filters)

    def job(self, job_id: str) -> dict[str, Any]:
        """How far a job is."""
        return dict(self._asked("GET", f"/api/v1/jobs/{job_id}"))

    def ingest(self, path: str, key: str | None = None) -> list[str]:
        """Take a file or folder at or below a watched folder of the server; ids of its batches."""
        return list(self._asked("POST", "/api/v1/ingest", json={"path": path}, headers=_keyed(key))["batches"])

    def upload(self, paths: list[Path], group: str) -> list[str]:
        """Upload files that arrive together; ids of their batches. What broke off before goes on where it was.

        Files of one name and size begin anew: which of them broke off cannot be told.
        """
        alike = Counter((path.name, path.stat().st_size) for path in paths)
        known: dict[tuple[str, int], dict[str, Any]] = {}
        for one in self._asked("GET", "/api/v1/uploads")["items"]:
            if one["group"] != group:
                continue
            key = one["rel_path"], one["length"]
            if alike[key] > 1:
                self._response("DELETE", f"/api/v1/uploads/{one['upload_id']}", headers=_TUS)
            else:
                known[key] = one
        for path in paths:
            size = path.stat().st_size
            begun = known.get((path.name, size))
            url = f"/api/v1/uploads/{begun['upload_id']}" if begun else self._begin(path, size, group)
            self._send(path, url, begun["offset"] if begun else 0)
        return list(self._asked("POST", f"/api/v1/uploads/groups/{group}")["batches"])

    def _begin(self, path: Path, size: int, group: str) -> str:
        from base64 import b64encode

        said = {"filename": path.name, "group": group}
        metadata = ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in said.items())
        headers = _TUS | {"Upload-Length": str(size), "Upload-Metadata": metadata}
        return self._response("POST", "/api/v1/uploads", headers=headers).headers["location"]

    def _send(self, path: Path, url: str, offset: int) -> None:
        headers = _TUS | {"Content-Type": "application/offset+octet-stream"}
        with path.open("rb") as source:
            source.seek(offset)
            while part := source.read(_PART_BYTES):
                self._response("PATCH", url, headers=headers | {"Upload-Offset": str(offset)}, content=part)
                offset += len(part)

    def _pages(self, path: str, filters: dict[str, Any]) -> Iterator[dict[str, Any]]:
        cursor: dict[str, str] = {}
        while True:
            page = self._asked("GET", path, params=filters | cursor)
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    def _asked(self, method: str, path: str, **more: Any) -> Any:
        return self._response(method, path, **more).json()

    def _response(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **more)
        except httpx.HTTPError as error:
            raise self._offline(error) from error
        return self._checked(answer)

    def _offline(self, error: httpx.HTTPError) -> OfflineError:
        url = self._http.base_url
        return OfflineError(url, f"the web application does not answer ({error})", "Start `thatdam up`.")

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        if answer.is_error:
            problem = answer.json() if "json" in answer.headers.get("content-type", "") else {}
            cause = "; ".join([problem.get("detail", f"status {answer.status_code}"), *problem.get("errors", [])])
            subject = f"{answer.request.method} {answer.request.url.path}"
            raise QueryError(subject, cause, problem.get("next_step", "See its log."))
        return answer


def _keyed(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}
