"""A reader of a document, who types what it shows and compares what is printed."""

import difflib
import doctest
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.documents.blocks import ROOT, Block, Command, beginning, blocks, commands, name
from tests.documents.terminal import Ports, Terminal

ALIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
DOCTEST = "python -m doctest -o ELLIPSIS -o NORMALIZE_WHITESPACE"
PORTS = {"INFERENCE": 8080, "MANAGEMENT": 8081, "METRICS": 8082}


def left(document: Path, shelf: Path) -> Path:
    """The folder in which a document was read to its end, with `faults.json`; whoever comes first reads it, others wait."""
    kept = shelf / name(document)
    kept.mkdir(parents=True, exist_ok=True)
    with (kept / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (kept / "faults.json").exists():
            for rest in ("checkout", "home"):  # of a reader that was killed
                shutil.rmtree(kept / rest, ignore_errors=True)
            faults = list(_read(document, kept, shelf))
            (kept / "faults.json").write_text(json.dumps(faults))
    return kept


def _read(document: Path, kept: Path, shelf: Path) -> Iterator[str]:
    before, checkout = beginning(document), kept / "checkout"
    if before is None:
        _check_out(checkout)
    else:
        former = left(before, shelf)
        if json.loads((former / "faults.json").read_text()):
            yield f"{name(document)} begins where {name(before)} ended, which has faults of its own"
            return
        shutil.copytree(former / "checkout", checkout, symlinks=True)
    with Ports(*PORTS.values()) as ports, Terminal(checkout, _environment(kept, ports)) as terminal:
        for block in blocks(document.read_text()):
            if block.file is not None:
                _save(block, checkout)
                continue
            if block.reason is not None:
                continue
            for command in _typed(block, kept):
                fault = _compared(command, terminal, ports)
                if fault:
                    yield f"{name(document)}, the block in line {command.line}\n{fault}"
                    return  # what follows may need it


def _check_out(folder: Path) -> None:
    """A folder like the repository's root, in which nothing of the repository can be changed by writing beside it."""
    folder.mkdir()
    for each in ROOT.iterdir():
        if each.name not in (".git", ".venv", "var", "demlopment.toml"):
            (folder / each.name).symlink_to(each)
    (folder / ".venv").symlink_to(sys.prefix)


def _environment(kept: Path, ports: Ports) -> dict[str, str]:
    home = kept / "home"
    home.mkdir()
    ours = {f"DEMLOPMENT_ENDPOINT__{port}_PORT": ports.free(str(named)) for port, named in PORTS.items()}
    # A `make` that runs the tests has its own variables, which the page's would obey.
    dropped = ("DEMLOPMENT_", "AWS_", "COV_", "MAKE", "MFLAGS")
    theirs = {each: value for each, value in os.environ.items() if not each.startswith(dropped)}
    said = {"HOME": str(home), "TERM": "dumb", "COLUMNS": "200", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    pushing = {"DEMLOPMENT_MONITORING__NICENESS": "0"}  # other tests keep the processors busy, to which a look would give way
    return theirs | said | pushing | ours


def _save(block: Block, checkout: Path) -> None:
    assert block.file is not None
    (checkout / block.file).parent.mkdir(parents=True, exist_ok=True)
    (checkout / block.file).write_text(block.text + "\n")


def _typed(block: Block, kept: Path) -> list[Command]:
    if block.language in ("console", "sh"):
        return commands(block)
    if block.language not in ("python", "pycon"):
        return []
    script = kept / f"line-{block.line}.txt"
    script.write_text(block.text + "\n")
    command = f"python {script}" if block.language == "python" else f"{DOCTEST} {script}"
    return [Command(block.line, command, "" if block.language == "pycon" else None, block.status)]


def _compared(command: Command, terminal: Terminal, ports: Ports) -> str:
    """What is not as the document says, or nothing."""
    expected = command.printed

    def alike(printed: str) -> bool:
        return expected is None or doctest.OutputChecker().check_output(expected, ports.printed(printed), ALIKE)

    try:
        printed, status = terminal.run(ports.typed(command.typed))
        if command.typed.rstrip().endswith("&") and not alike(printed):
            printed = terminal.awaited(lambda heard: alike(printed + heard))
    except (TimeoutError, BrokenPipeError) as ended:
        return f"$ {command.typed}\n{ports.printed(str(ended))}\nand the document shows\n{expected}"
    if status == command.status and alike(printed):
        return ""
    shown = difflib.ndiff((expected or "").splitlines(), ports.printed(printed).splitlines())
    left = "" if status == command.status else f"which left with {status} instead of {command.status}\n"
    return f"$ {command.typed}\n{left}" + "\n".join(shown)
