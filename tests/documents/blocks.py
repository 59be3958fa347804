"""What stands in a document for a reader to type: its blocks of code, in order. Runs nothing."""

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
# What people read first, and what teaches; pages of reference have tests of their own.
DOCUMENTS = [
    ROOT / "README.rst",
    *sorted(ROOT.glob("docs/posts/*.rst")),
    *sorted(ROOT.glob("docs/how-to/*.rst")),
    *sorted(ROOT.glob("docs/reference/*.rst")),
]
RUN = ("console", "sh", "python", "pycon")  # anything else is shown, and not typed
OPENING = re.compile(r"( *)\.\. code-block:: *(\S*)$")
OPTION = re.compile(r" *:(\w+): *(.*)$")
REMARK = re.compile(r" *\.\. (not run|leaves with):(.*)$")
BEGINNING = re.compile(r"^\.\. begins where (\S+) ended$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One block: what it is written in, its text, and what the document says of running it."""

    line: int  # of the document, from 1
    language: str
    text: str
    reason: str | None = None  # why it is not run; an empty one is a fault of the document
    status: int = 0  # that its commands leave with
    file: str | None = None  # its caption: the reader saves it under that name


@dataclass(frozen=True)
class Command:
    """One thing to type, and what is printed then; None where the document does not show it."""

    line: int
    typed: str
    printed: str | None
    status: int


def name(document: Path) -> str:
    """What a document is called among its tests, and by those that begin where it ended."""
    return document.stem if document.parent == ROOT else f"{document.parent.name}/{document.stem}"


def beginning(document: Path) -> Path | None:
    """The document in whose home this one begins, or none: a clean one."""
    found = BEGINNING.search(document.read_text())
    return None if found is None else (document.parent / f"{found[1]}.rst").resolve()


def blocks(text: str) -> list[Block]:
    """Those of a page of reStructuredText.

    >>> [block] = blocks(".. leaves with: 1" + chr(10) * 2 + ".. code-block:: sh" + chr(10) * 2 + "   false")
    >>> block.language, block.text, block.status
    ('sh', 'false', 1)
    """
    lines, found, remarks = text.splitlines(), list[Block](), dict[str, str]()
    for at, line in enumerate(lines):
        remark, opening = REMARK.match(line), OPENING.match(line)
        if remark:
            remarks[remark[1]] = remark[2].strip()
        elif opening:
            found.append(_block(lines, at, opening, remarks))
            remarks = {}
        elif line.strip():
            remarks = {}
    return found


def fenced(text: str) -> list[Block]:
    """Those of a page of Markdown.

    >>> fenced("```sh" + chr(10) + "true" + chr(10) + "```")[0].text
    'true\\n'
    """
    return [
        Block(text[: found.start()].count("\n") + 1, found[1], found[2])
        for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text + "\n", re.MULTILINE | re.DOTALL)
    ]


def _block(lines: list[str], at: int, opening: re.Match[str], remarks: dict[str, str]) -> Block:
    body, options = list[str](), dict[str, str]()
    for line in lines[at + 1 :]:
        if line.strip() and not line.startswith(opening[1] + " "):
            break
        option = None if body else OPTION.match(line)
        if option:
            options[option[1]] = option[2]
        elif body or line.strip():
            body.append(line)
    text = dedent("\n".join(body)).rstrip()
    status = int(remarks.get("leaves with", 0))
    return Block(at + 1, opening[2], text, remarks.get("not run"), status, options.get("caption"))


def commands(block: Block) -> list[Command]:
    """What a block of a shell's has a reader type: after each `$`, or all of it where it has none."""
    if block.language == "sh":
        return [Command(block.line, block.text, None, block.status)]
    found = list[Command]()
    for piece in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        lines = piece.splitlines()
        last = next((at for at, line in enumerate(lines) if not line.endswith("\\")), len(lines) - 1)
        if "<<" in lines[0]:
            end = lines[0].split("<<")[1].split()[0].strip("-'\"")
            last = lines.index(end)
        printed = "\n".join(lines[last + 1 :])
        found.append(Command(block.line, "\n".join(lines[: last + 1]), printed, block.status))
    return found
