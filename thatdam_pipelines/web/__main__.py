"""`python -m thatdam_pipelines.web`: serve posters and proxies."""

import uvicorn

from thatdam_pipelines.settings import get_settings
from thatdam_pipelines.web.app import create_app


def main() -> None:
    settings = get_settings()
    uvicorn.run(create_app(settings), host=settings.host, port=settings.web_port, log_level="warning")


if __name__ == "__main__":
    main()
