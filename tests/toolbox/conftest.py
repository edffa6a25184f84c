"""The command line, run as the program runs it, and the sample library with a ledger of its own."""

from tests.test_cli import run
from tests.web.conftest import own

__all__ = ["own", "run"]
