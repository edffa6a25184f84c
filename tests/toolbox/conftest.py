"""The command line, run as the program runs it."""

from tests.test_cli import run

__all__ = ["run"]
