"""`python -m thatdam_pipelines.web`: the web application as a process."""

import contextlib
import sys

from thatdam_pipelines.settings import Settings, get_settings
from thatdam_pipelines.web.server import make_server


def serve(settings: Settings) -> None:
    """Answer requests until SIGINT or SIGTERM.

    Raises:
        SettingsError: It would bind to an address that others reach, with nothing that tells them apart.
    """
    server = make_server(settings, settings.web_port)
    # As uvicorn.run: asked to stop twice, it stops at once.
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(3)


if __name__ == "__main__":
    serve(get_settings())
