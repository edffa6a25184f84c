"""`python -m thatdam_pipelines.web`: the web application as a process."""

import uvicorn

from thatdam_pipelines.settings import Settings, get_settings
from thatdam_pipelines.web.app import create_app


def serve(settings: Settings) -> None:
    """Answer requests until SIGINT or SIGTERM.

    Raises:
        SettingsError: It would bind to an address that others reach, with nothing that tells them apart.
    """
    app = create_app(settings)
    uvicorn.run(
        app, host=settings.web_address, port=settings.web_port, log_level="warning", access_log=False,
        server_header=False, timeout_graceful_shutdown=2,
    )  # fmt: skip


if __name__ == "__main__":
    serve(get_settings())
