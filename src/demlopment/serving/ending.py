"""How another process ends the endpoint of a home. Knows its note, see addresses.py, and no port."""

import json
import os
import select
import signal

from demlopment.errors import NotReadyError
from demlopment.home import Home
from demlopment.serving import addresses

PATIENCE_SECONDS = 150.0  # handlers may take two minutes for what they have in hand


def stop(place: Home) -> bool:
    """End the endpoint that runs in `place` and wait until it has answered everything; False if there is none.

    Raises NotReadyError if it has not ended in time.
    """
    pid = _noted(place)
    if pid is None:
        return False
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        # Looked at once we hold the process: from here on its number cannot become another's.
        if addresses.running(place) is None or _noted(place) != pid:
            return False
        signal.pidfd_send_signal(process, signal.SIGTERM)
        waiting = select.poll()
        waiting.register(process, select.POLLIN)
        if not waiting.poll(PATIENCE_SECONDS * 1000):
            raise NotReadyError(f"The endpoint of {place.root} still answers.", f"Wait, or end process {pid} yourself.")
        return True
    finally:
        os.close(process)


def _noted(place: Home) -> int | None:
    try:
        pid = json.loads((place.endpoint / addresses.NOTE).read_bytes())["pid"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # no note, or one that no endpoint wrote
        return None
    return pid if isinstance(pid, int) else None
