"""Talks to a running recorder, as the command line does."""

from typing import Any

import httpx

from thatdam_capture.errors import CaptureError

TIMEOUT_S = 60.0


class Unreachable(CaptureError):
    """No recorder answers there."""


class RefusedByRecorder(CaptureError):
    """The recorder answered and will not do it. ``status`` is the HTTP status."""

    def __init__(self, message: str, next_step: str, status: int) -> None:
        self.status = status
        super().__init__(message, next_step)


class RecorderClient:
    """One recorder.

    Args:
        url: Its address, such as ``http://127.0.0.1:9000``.
        token: Its token, if it has one.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # A proxy of the environment is no way to a recorder on the set.
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT_S, trust_env=False)

    def get(self, path: str, **query: Any) -> Any:
        """Raises Unreachable, RefusedByRecorder."""
        return self._ask("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Raises Unreachable, RefusedByRecorder."""
        return self._ask("POST", path, json=body)

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        try:
            answer = self._http.request(method, path, **request)
            body = answer.json()
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise Unreachable(
                f"no recorder answers at {self.url} ({error})", "Start one with `thatdam-capture serve`, or give --url"
            ) from None
        except ValueError:
            raise Unreachable(f"what answers at {self.url} is no recorder", "Give the recorder's --url") from None
        if answer.is_error:
            detail = body.get("detail", f"the recorder answered {answer.status_code}")
            problems = "; ".join(body.get("errors", []))
            message = f"{detail} ({problems})" if problems else detail
            raise RefusedByRecorder(
                message.rstrip("."), body.get("next_step", "See its log").rstrip("."), answer.status_code
            )
        return body
