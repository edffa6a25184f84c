"""``python -m thatdam_capture``."""

from thatdam_capture.cli import main

main()
