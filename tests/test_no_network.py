"""The guard against connections that leave this machine is itself under test."""

import socket
from pathlib import Path

import pytest

from tests import conftest
from tests.conftest import _is_local


def test_a_connection_that_leaves_this_machine_is_stopped_before_it_starts() -> None:
    assert not _is_local(socket.AF_INET, ("192.0.2.1", 80))
    assert not _is_local(socket.AF_INET, ("example.org", 80))


def test_loopback_and_unix_sockets_are_allowed() -> None:
    assert _is_local(socket.AF_INET, ("127.0.0.1", 8080))
    assert _is_local(socket.AF_INET6, ("::1", 8080, 0, 0))
    assert _is_local(socket.AF_UNIX, "/tmp/some.sock")


def test_an_attempt_fails_its_test_even_when_a_library_swallows_the_error(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(Path(conftest.__file__).read_text())
    pytester.makepyfile(
        """
        import socket

        def test_that_swallows():
            with socket.socket() as connection:
                try:
                    connection.connect(("192.0.2.1", 80))
                except AssertionError:
                    pass
        """
    )

    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")

    result.assert_outcomes(passed=1, errors=1)
