"""Working where others answer requests: they come first, whoever started them. Linux shares processors among sessions first."""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

GROUP = Path("/proc/self/autogroup")  # sched(7): where it is, niceness counts within one session only
PR_SET_PDEATHSIG = 1
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def give_way(niceness: int) -> None:
    """Have this process, and what it starts, take what others leave of the processors; 19 leaves most to them, 0 nothing.

    A process that leads a group, as one that a shell starts does, cannot begin a session: a child goes on, and this one
    passes signals on to it, waits, and ends with its status. Call it before there are threads.
    """
    if niceness == 0:
        return
    niceness = max(niceness, os.getpriority(os.PRIO_PROCESS, 0))  # whoever started it may have asked for more
    os.setpriority(os.PRIO_PROCESS, 0, niceness)
    if not GROUP.exists():
        return
    if os.getsid(0) != os.getpid():
        if os.getpgrp() == os.getpid():
            _become_a_child()
        os.setsid()
    with suppress(
        OSError
    ):  # a container may forbid it, and who is not root may do it ten times a second: no reason not to work
        GROUP.write_text(str(niceness))


def _become_a_child() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)  # none is to arrive before it can be passed on
    before, child = os.getpid(), os.fork()
    if child:
        _stand_for(child)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != before:
        os._exit(1)  # it was killed meanwhile
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)


def _stand_for(child: int) -> NoReturn:
    for number in PASSED_ON:
        signal.signal(number, lambda arrived, _: os.kill(child, arrived))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(code if code >= 0 else 128 - code)  # the child has said and tidied up what there is
