"""What a handler can learn from the endpoint's processes, which run as the same user: nothing of their environment."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.endpoint import Running, free_ports, registered, running

NOBODY = 65534
# As a user other than root, who is let in everywhere: a child tries to read its parent's environment, before and after.
SPY = f"""
import contextlib, ctypes, os
from demlopment.serving.seclusion import PR_SET_DUMPABLE, seclude

with contextlib.suppress(PermissionError):
    os.setuid({NOBODY})
ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # which a change of user takes away

def read():
    reader, writer = os.pipe()
    if not os.fork():
        try:
            os.write(writer, b"read" if b"SECRET" in open(f"/proc/{{os.getppid()}}/environ", "rb").read() else b"empty")
        except PermissionError:
            os.write(writer, b"refused")
        os._exit(0)
    os.wait()
    return os.read(reader, 100).decode()

before = read()
seclude()
print(before, read())
"""


def test_a_child_of_the_same_user_cannot_read_the_environment_of_a_secluded_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SPY], env={**os.environ, "SECRET": "x"}, stdout=subprocess.PIPE, text=True, check=True
    )

    assert done.stdout.split() == ["read", "refused"]


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Running]:
    registered(tmp_path, "1.0")
    settings = free_ports(allow_handlers=True, processes=1)
    with running(tmp_path, settings, DEMLOPMENT_ENDPOINT__TOKENS="*:secret") as started:
        yield started


def test_serving_processes_get_no_setting_in_their_environment(endpoint: Running) -> None:
    (pid,) = endpoint.pids()

    try:
        environment = (Path("/proc") / str(pid) / "environ").read_bytes()
    except PermissionError:  # secluded from us, too
        environment = b""

    assert b"DEMLOPMENT" not in environment
    assert b"secret" not in environment


@pytest.mark.skipif(os.getuid() == 0, reason="Root may read everything.")
def test_neither_process_of_an_endpoint_with_handlers_can_be_looked_into(endpoint: Running) -> None:
    for pid in (endpoint.process.pid, *endpoint.pids()):
        with pytest.raises(PermissionError):
            (Path("/proc") / str(pid) / "environ").read_bytes()
