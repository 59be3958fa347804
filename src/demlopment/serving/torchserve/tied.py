"""Become another program that dies with its parent, however the parent dies: `python tied.py PARENT PROGRAM ...`.

A script that knows nothing of the package: Java cannot say to the kernel itself that it wants to die.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, *program: str) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before that
        sys.exit(1)
    os.execv(program[0], program)  # noqa: S606  (the list that the endpoint wrote)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
