"""A properties file is read as Java reads it; Java itself is the oracle where it is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.serving.configuration.entries import MalformedError, entries

ORACLE = """
import java.io.*;
import java.util.*;

public class Oracle {
    public static void main(String[] arguments) throws Exception {
        DataInputStream in = new DataInputStream(System.in);
        for (int left = in.readInt(); left > 0; left--) {
            byte[] text = new byte[in.readInt()];
            in.readFully(text);
            Properties read = new Properties();
            try {
                read.load(new StringReader(new String(text, "UTF-16BE")));
            } catch (IllegalArgumentException malformed) {
                System.out.println("malformed");
                continue;
            }
            StringBuilder line = new StringBuilder();
            for (String key : new TreeSet<>(read.stringPropertyNames())) {
                line.append(hex(key)).append('=').append(hex(read.getProperty(key))).append(' ');
            }
            System.out.println(line);
        }
    }

    static String hex(String text) {
        StringBuilder digits = new StringBuilder();
        for (char each : text.toCharArray()) digits.append(String.format("%04x", (int) each));
        return digits.toString();
    }
}
"""
PIECES = [
    "\\",
    "\\",
    "\n",
    "\r",
    "\r\n",
    " ",
    "\t",
    "\f",
    "=",
    ":",
    "#",
    "!",
    "a",
    "b",
    "u",
    "é",
    "\\u0041",
    "\\\n",
    "\\uD83D\\uDE00",
]
texts = st.lists(st.sampled_from([*PIECES, "\\u00"]), max_size=20).map("".join)
words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


def read(text: str) -> dict[str, str]:
    return {entry.key: entry.value for entry in entries(text)}


def as_java_says(texts: list[str]) -> list[str]:
    packed = [text.encode("utf-16-be") for text in texts]
    sent = len(texts).to_bytes(4, "big") + b"".join(len(text).to_bytes(4, "big") + text for text in packed)
    run = ["java", "-XX:TieredStopAtLevel=1", "Oracle.java"]
    return subprocess.run(run, input=sent, capture_output=True, check=True, timeout=120).stdout.decode().splitlines()


def as_we_say(text: str) -> str:
    try:
        found = read(text)
    except MalformedError:
        return "malformed"
    pairs = sorted((as_hex(key), as_hex(value)) for key, value in found.items())
    return "".join(f"{key}={value} " for key, value in pairs)


def as_hex(text: str) -> str:
    return text.encode("utf-16-be", "surrogatepass").hex()


@pytest.mark.skipif(shutil.which("javac") is None, reason="a Java compiler is missing: apt-get install openjdk-17-jdk-headless")
def test_java_reads_the_same_from_two_thousand_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Oracle.java").write_text(ORACLE)
    drawn: list[str] = []

    @given(st.lists(texts, min_size=20, max_size=20))
    def draw(some: list[str]) -> None:
        # The last line keeps a backslash from standing alone at the end, which Java makes an empty key of.
        drawn.extend(f"{text}\nend = 1" for text in some)

    draw()

    assert len(drawn) >= 2000
    assert [as_we_say(text) for text in drawn] == as_java_says(drawn)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# note\n! note\n\n key = value ", {"key": "value "}),
        ("a:1\nb 2\nc\t=\t3\nd", {"a": "1", "b": "2", "c": "3", "d": ""}),
        ("a = one, \\\n    two\\\r\n\tthree", {"a": "one, twothree"}),
        ("a = ends in a backslash\\\\\nb = 1", {"a": "ends in a backslash\\", "b": "1"}),
        ("a\\ b\\=c = \\u00e9\\t\\q\\\\", {"a b=c": "é\tq\\"}),
        ("face = \\uD83D\\uDE00", {"face": "😀"}),
        ("a = # no comment", {"a": "# no comment"}),
        ("# a comment is not continued \\\na = 1", {"a": "1"}),
        ("a = 1\na = 2", {"a": "2"}),
        ('models={\\\n  "m": {\\\n  }\\\n}', {"models": '{"m": {}}'}),
    ],
)  # each as java.util.Properties of OpenJDK 17 reads it
def test_these_texts_are_read_as_java_read_them(text: str, expected: dict[str, str]) -> None:
    assert read(text) == expected


@given(st.dictionaries(words, words, max_size=5))
def test_what_a_careful_writer_writes_is_read_back(values: dict[str, str]) -> None:
    def written(text: str) -> str:
        halves = text.encode("utf-16-be")
        return "".join(f"\\u{halves[at : at + 2].hex()}" for at in range(0, len(halves), 2))

    text = "".join(f"{written(key)} = {written(value)}\n" for key, value in values.items())

    assert read(text) == values


def test_an_entry_knows_the_line_it_began_on() -> None:
    found = list(entries("# note\n\na = 1,\\\n  2\nb = 3"))

    assert [(entry.key, entry.line) for entry in found] == [("a", 3), ("b", 5)]


def test_half_an_escape_is_refused_with_its_line() -> None:
    with pytest.raises(MalformedError) as refused:
        list(entries("a = 1\nb = \\u00"))

    assert refused.value.line == 2
