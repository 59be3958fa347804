"""The entries of a Java properties file, each with the line it began on. Knows no key.

The rules are java.util.Properties': `=`, `:` or white space ends a key, `#` and `!` begin a comment, a backslash at the
end of a line continues it, and `\\uXXXX` is a character. One thing differs: Java makes an entry with an empty key of a
backslash that stands alone at the end of the file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

BLANK = " \t\f"
LINE_END = re.compile(r"\r\n|\r|\n")  # and no other: str.splitlines would also cut at form feeds
ESCAPED = {"t": "\t", "r": "\r", "n": "\n", "f": "\f"}
ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """One key with its value."""

    key: str
    value: str
    line: int  # from 1


class MalformedError(ValueError):
    """A `\\u` that four hexadecimal digits do not follow."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def entries(text: str) -> Iterator[Entry]:
    """Every entry in the order of the file; a key may come again, and for Java its last value counts.

    Raises MalformedError, as Java does, for `\\u` without four hexadecimal digits.

    >>> [(each.key, each.value) for each in entries("# note\\na = 1\\nb:\\\\\\n  two")]
    [('a', '1'), ('b', 'two')]
    """
    for number, logical in _logical_lines(text):
        end, start = _separator(logical)
        yield Entry(_unescaped(logical[:end], number), _unescaped(logical[start:], number), number)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    begun, whole = 1, ""
    for number, line in enumerate(LINE_END.split(text), 1):
        stripped = line.lstrip(BLANK)
        if not whole:
            begun = number
            if not stripped or stripped[0] in "#!":
                continue
        whole += stripped
        if _continued(stripped):
            whole = whole[:-1]
        else:
            yield begun, whole
            whole = ""
    if whole:
        yield begun, whole


def _continued(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _separator(line: str) -> tuple[int, int]:
    """Where the key ends and where the value begins."""
    end = 0
    while end < len(line) and line[end] not in f"{BLANK}=:":
        end += 2 if line[end] == "\\" else 1
    end = min(end, len(line))
    start = len(line) - len(line[end:].lstrip(BLANK))
    if start < len(line) and line[start] in "=:":
        start = len(line) - len(line[start + 1 :].lstrip(BLANK))
    return end, start


def _unescaped(text: str, line: int) -> str:
    def character(match: re.Match[str]) -> str:
        sign = match[1]
        if sign == "u":
            raise MalformedError(line)
        return chr(int(sign[1:], 16)) if len(sign) > 1 else ESCAPED.get(sign, sign)

    plain = ESCAPE.sub(character, text)
    # Java's characters are halves of UTF-16: two escapes may be one character of ours.
    return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
