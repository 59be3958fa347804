"""The guard against connections that leave this machine is itself under test."""

import socket
from pathlib import Path

import pytest

from tests import conftest
from tests.guard.sitecustomize import is_local

SWALLOWED = """
import socket
with socket.socket() as connection:
    try:
        connection.connect(("192.0.2.1", 80))
    except AssertionError:
        pass
"""


def test_loopback_and_unix_sockets_are_on_this_machine_and_nothing_else_is() -> None:
    assert is_local(socket.AF_INET, ("127.0.0.1", 8080))
    assert is_local(socket.AF_INET6, ("::1", 8080, 0, 0))
    assert is_local(socket.AF_UNIX, "/tmp/some.sock")
    assert not is_local(socket.AF_INET, ("192.0.2.1", 80))
    assert not is_local(socket.AF_INET, ("example.org", 80))


@pytest.mark.parametrize("where", ["exec(script)", "subprocess.run([sys.executable, '-c', script], check=True)"])
def test_an_attempt_fails_its_test_even_when_its_error_is_swallowed(pytester: pytest.Pytester, where: str) -> None:
    pytester.makeconftest(Path(conftest.__file__).read_text())
    pytester.makepyfile(
        f"""
        import subprocess
        import sys

        script = {SWALLOWED!r}

        def test_that_swallows():
            {where}
        """
    )

    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")

    result.assert_outcomes(passed=1, errors=1)
