"""The reader itself: what it takes for a fault, what it lets pass, and that nothing outlives it."""

import doctest
import json
import shutil
import socket
import sys
from pathlib import Path

import pytest

from demlopment.home import birth
from tests.documents import blocks as page
from tests.documents import terminal
from tests.documents.blocks import Block, Command, blocks, commands
from tests.documents.reader import left
from tests.documents.terminal import Ports
from tests.serving.endpoint import eventually

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is missing: apt-get install bash")


def faults(folder: Path, text: str, called: str = "page") -> list[str]:
    (folder / f"{called}.rst").write_text(text)
    found: list[str] = json.loads((left(folder / f"{called}.rst", folder / "shelf") / "faults.json").read_text())
    return found


def console(text: str, before: str = "") -> str:
    body = "\n".join(f"   {line}".rstrip() for line in text.splitlines())
    return f"{before}\n\n.. code-block:: console\n\n{body}\n\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("$ echo one\none", ""),
        ("$ echo 12 ms, 3 rows\n... ms,   3 rows", ""),
        ("$ printf 'a\\n\\nb\\n'\na\n\nb", ""),
        ("$ echo one \\\n    two\none two", ""),
        ("$ cat <<END\na\nb\nEND\na\nb", ""),
        ("$ false || echo no\nno", ""),
        ("$ X=1\n$ echo $X\n1", ""),
        ("$ echo one\ntwo", "+ one"),
        ("$ echo one", "+ one"),
        ("$ true\nsomething", "- something"),
        ("$ false", "left with 1 instead of 0"),
        ("$ missing-program 2> /dev/null", "left with 127"),
        ("$ echo one; exit 3\none", "the shell says no more"),
    ],
)
def test_what_is_printed_must_be_what_is_shown(tmp_path: Path, text: str, fault: str) -> None:
    found = faults(tmp_path, console(text))

    assert [fault in each for each in found] == ([True] if fault else [])


def test_python_is_compared_as_a_session_or_run_as_a_program(tmp_path: Path) -> None:
    right = ".. code-block:: pycon\n\n   >>> 1 / 4\n   0.2...\n\n.. code-block:: python\n\n   assert True\n"
    wrong = ".. code-block:: pycon\n\n   >>> 1 / 4\n   0.3\n"
    failing = ".. code-block:: python\n\n   raise SystemExit(2)\n"
    saved = ".. code-block:: python\n   :caption: a/ask.py\n\n   print('asked')\n\n" + console("$ python a/ask.py\nasked")

    assert faults(tmp_path, right, "right") == []
    assert "Expected" in faults(tmp_path, wrong, "wrong")[0]
    assert "left with 2" in faults(tmp_path, failing, "failing")[0]
    assert faults(tmp_path, saved, "saved") == []


def test_a_block_may_be_expected_to_fail_and_one_is_not_run_with_a_reason(tmp_path: Path) -> None:
    assert faults(tmp_path, console("$ false", ".. leaves with: 1"), "failing") == []
    assert faults(tmp_path, console("$ true", ".. leaves with: 1"), "succeeding")
    assert faults(tmp_path, console("$ false", ".. not run: it needs a moon"), "unrun") == []
    assert [block.reason for block in blocks(console("$ x", ".. not run:") + console("$ x"))] == ["", None]


def test_a_remark_is_for_the_next_block_alone(tmp_path: Path) -> None:
    between = console("$ x", ".. not run: it needs a moon\n\nA paragraph.")

    assert [block.reason for block in blocks(between)] == [None]


def test_the_background_is_waited_for_by_what_it_says_and_ends_with_the_document(tmp_path: Path) -> None:
    text = console("$ (echo ready on 127.0.0.1:8080; echo $BASHPID > pid; exec sleep 600) &\nready on 127.0.0.1:8080")
    text += console("$ kill -0 $(cat pid)")

    assert faults(tmp_path, text) == []
    pid = int((tmp_path / "shelf" / tmp_path.name / "page" / "checkout" / "pid").read_text())
    assert eventually(lambda: birth(pid) == "")  # it closes its output a moment before it is gone


def test_what_is_never_said_is_waited_for_with_patience_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "PATIENCE_SECONDS", 0.5)

    assert "no more than" in faults(tmp_path, console("$ (echo almost; exec sleep 600) &\nready"), "waiting")[0]
    assert "no more than" in faults(tmp_path, console("$ echo 'one\none"), "unclosed")[0]


def test_ports_of_the_document_are_free_ones_and_shown_as_they_were_named(tmp_path: Path) -> None:
    text = console("$ echo $DEMLOPMENT_ENDPOINT__INFERENCE_PORT > port; cat port\n8080")
    text += console("$ echo http://127.0.0.1:8080/a --port 3000\nhttp://127.0.0.1:8080/a --port 3000")

    assert faults(tmp_path, text) == []
    assert (tmp_path / "shelf" / tmp_path.name / "page" / "checkout" / "port").read_text() != "8080\n"


@pytest.mark.skipif(sys.platform != "linux", reason="ports can be held in Linux alone: use it")
def test_a_port_of_a_document_is_handed_to_nobody_else_before_its_server_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as handed:
        handed.bind(("127.0.0.1", 0))
        port = handed.getsockname()[1]
        monkeypatch.setattr(terminal, "_drawn", lambda: iter([port, *range(port + 1, port + 50)]))
        with Ports(8080) as taken:
            assert taken.free("8080") != str(port), "it is in use"
    with Ports(8080) as ports, socket.create_server(("127.0.0.1", 0)) as other, socket.socket() as strict:
        address = ("127.0.0.1", int(ports.free("8080")))
        with pytest.raises(OSError, match="in use"):
            strict.bind(address)
        with socket.create_server(address), pytest.raises(OSError, match="in use"):
            socket.create_server(address)
        clients = [socket.create_connection(other.getsockname()) for _ in range(100)]
        assert address not in [each.getsockname() for each in clients]
        for each in clients:
            each.close()


def test_a_document_goes_on_in_a_copy_of_where_another_ended(tmp_path: Path) -> None:
    assert faults(tmp_path, console("$ echo kept > note"), "first") == []
    assert faults(tmp_path, ".. begins where first ended\n" + console("$ cat note\nkept\n$ rm note"), "second") == []
    assert faults(tmp_path, ".. begins where first ended\n" + console("$ cat note\nkept"), "third") == []
    assert faults(tmp_path, console("$ false"), "broken")
    assert "has faults of its own" in faults(tmp_path, ".. begins where broken ended\n" + console("$ true"), "after")[0]


def test_what_a_reader_left_that_was_killed_is_read_anew(tmp_path: Path) -> None:
    remains = tmp_path / "shelf" / tmp_path.name / "page"
    (remains / "checkout").mkdir(parents=True)
    (remains / "home").mkdir()
    (remains / "checkout" / "note").write_text("old")

    assert faults(tmp_path, console("$ test ! -e note")) == []


def test_each_command_of_a_block_has_what_stands_below_it() -> None:
    block = Block(7, "console", "$ one \\\n  more\nsaid\n$ two <<'END'\nx\nEND\n$ three\na\nb", None, 2)

    assert commands(block) == [
        Command(7, "one \\\n  more", "said", 2),
        Command(7, "two <<'END'\nx\nEND", "", 2),
        Command(7, "three", "a\nb", 2),
    ]


def test_the_examples_of_the_reader_hold() -> None:
    found = doctest.testmod(page)

    assert (found.failed, found.attempted > 2) == (0, True)
