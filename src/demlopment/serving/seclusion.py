"""Keep other programs of the same user out of this process. Knows no handler.

A handler runs as the user who runs the endpoint, so it could read another process's environment, where tokens may stand, in
/proc, or its memory with a debugger. Against root there is no such wall.
"""

import ctypes

PR_SET_DUMPABLE = 4


def seclude() -> None:
    """Let only root read this process's environment and memory from now on, or attach to it."""
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
