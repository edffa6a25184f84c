"""Become a program that dies with the one who asked for it: ``launch.py PARENT_PID PROGRAM ARGUMENTS...``.

Run as a file by a fresh interpreter: asking the kernel between fork and exec instead is not safe in a program with
threads. The kernel ties the promise to the *thread* that started this process, so that must be the thread of the event
loop. A parent that died before the promise was made is seen by its pid.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        raise SystemExit(1)
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
