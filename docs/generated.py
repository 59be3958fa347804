"""Pages of reference that are made from the code while Sphinx reads: commands, ports, metrics, errors. Knows no prose.

Each is a function that returns reStructuredText and a directive of its name.
"""

import ast
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import demlopment
from demlopment import cli, errors
from demlopment.serving import openapi
from demlopment.serving.families import FAMILIES
from demlopment.serving.openapi.pieces import Port

SOURCES = Path(demlopment.__file__).parent
KINDS = ("DataError", "ArchiveError", "RequestError", "NotReadyError", "SettingsError", "HomeError", "StoryError")


def commands() -> str:
    """Every command with its arguments and options, as `--help` has them."""
    return "\n".join(_commands(typer.main.get_command(cli.app), "demlopment"))


def _commands(command: Any, words: str) -> Iterator[str]:
    for name, each in sorted(getattr(command, "commands", {}).items()):
        called = f"{words} {name}"
        if hasattr(each, "commands"):
            yield from _commands(each, called)
        else:
            yield from _command(each, called)


def _command(command: Any, called: str) -> Iterator[str]:
    yield from (called, "-" * len(called), "")
    yield from (_escaped(line) for line in (command.help or "").splitlines())
    yield ""
    shown = [each for each in command.params if not getattr(each, "hidden", False) and each.name != "help"]
    if shown:
        yield from (".. list-table::", "   :widths: 30 70", "")
    for each in shown:
        option = each.param_type_name == "option"
        names = ", ".join(f"``{name}``" for name in (*each.opts, *each.secondary_opts)) if option else f"``{each.name}``"
        default = each.default if isinstance(each.default, int | float | str) and not isinstance(each.default, bool) else None
        said = _escaped(each.help or "") + (f" Default: ``{default}``." if default not in (None, "") else "")
        yield from (f"   * - {names}", f"     - {said.strip()}")
    yield ""


def port(name: str) -> str:
    """Every path of a port: what it takes and what it answers."""
    described = openapi.document(_port(name))
    lines = [described["info"].get("description", ""), ""]
    for path, operations in described["paths"].items():
        for verb, operation in operations.items():
            if isinstance(operation, dict):
                lines += _operation(f"{verb.upper()} {path}", operation)
    lines += ["Schemas", "-------", ""]
    for schema, content in described["components"]["schemas"].items():
        lines += [schema, "~" * len(schema), "", ".. code-block:: json", ""]
        lines += [f"   {line}" for line in json.dumps(content, indent=2).splitlines()] + [""]
    return "\n".join(lines)


def _port(name: str) -> Port:
    known: Mapping[str, Port] = {"inference": "inference", "management": "management", "metrics": "metrics"}
    return known[name]


def _operation(title: str, operation: Mapping[str, Any]) -> list[str]:
    lines = [title, "-" * len(title), "", _escaped(operation.get("summary", "")), ""]
    if operation.get("deprecated"):
        lines += ["*Deprecated.*", ""]
    for each in operation.get("parameters", ()):
        needed = "" if each.get("required") else ", optional"
        lines.append(
            f"* ``{each['name']}`` ({each['in']}{needed}): {_escaped(each.get('description', _typed(each.get('schema', {}))))}"
        )
    if "requestBody" in operation:
        lines.append(f"* body: {', '.join(f'``{kind}``' for kind in operation['requestBody'].get('content', {}))}")
    lines += ["", ".. list-table::", "   :widths: 10 60 30", ""]
    for status, answer in sorted(operation["responses"].items()):
        content = answer.get("content", {})
        bodies = ", ".join(f"``{kind}`` {_typed(each.get('schema', {}))}".strip() for kind, each in content.items())
        lines += [f"   * - {status}", f"     - {_escaped(answer.get('description', ''))}", f"     - {bodies}"]
    return [*lines, ""]


def _typed(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    return str(schema.get("type", ""))


def metrics() -> str:
    """Every family that the metrics port has."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 35 10 20 35", ""]
    lines += ["   * - name", "     - kind", "     - labels", "     - what it counts"]
    for each in FAMILIES:
        labels = ", ".join(f"``{label}``" for label in each.labels)
        lines += [f"   * - ``{each.name}``", f"     - {each.kind}", f"     - {labels}", f"     - {_escaped(each.text)}"]
    return "\n".join([*lines, ""])


def messages() -> str:
    """Every error that the code raises, by its class: what is wrong, and what to do next."""
    found = _raised()
    lines: list[str] = []
    for kind in KINDS:
        lines += [kind, "-" * len(kind), "", str(getattr(errors, kind).__doc__), ""]
        lines += [
            ".. list-table::",
            "   :header-rows: 1",
            "   :widths: 60 40",
            "",
            "   * - what is wrong",
            "     - what to do next",
        ]
        for problem, remedy in sorted(found[kind]):
            lines += [f"   * - {_escaped(problem)}", f"     - {_escaped(remedy)}"]
        lines.append("")
    return "\n".join(lines)


def _raised() -> dict[str, set[tuple[str, str]]]:
    """Calls of the classes whose texts stand in the code; what is told with other values has its values' names in braces."""
    found: dict[str, set[tuple[str, str]]] = {kind: set() for kind in KINDS}
    for file in SOURCES.glob("**/*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in found and node.args:
                problem, remedy = _text(node.args[0]), _text(node.args[1]) if len(node.args) > 1 else ""
                if problem:
                    found[node.func.id].add((problem, remedy or ""))
    return found


def _text(node: ast.expr) -> str:
    """A text of the code as a person reads it, with the names of what is put into it; nothing where it is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else "{" + ast.unparse(part.value) + "}"  # type: ignore[attr-defined,misc]
            for part in node.values
        )
    return ""


def _escaped(text: str) -> str:
    """Text of the code as text of a page: nothing in it is markup but what stands between backticks."""
    pieces = text.replace("\\", "\\\\").split("`")
    if len(pieces) % 2 == 0:
        pieces = ["\\`".join(pieces)]
    words = [
        f"``{piece}``" if place % 2 else piece.replace("*", r"\*").replace("|", r"\|").replace("_", r"\_")
        for place, piece in enumerate(pieces)
    ]
    return " ".join("".join(words).split())


class _Generated(SphinxDirective):
    """The text of one of the functions above, where the directive stands."""

    optional_arguments = 1
    text: Callable[..., str]

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(type(self).text(*self.arguments), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    for made in (commands, port, metrics, messages):
        app.add_directive(f"generated-{made.__name__}", type(made.__name__, (_Generated,), {"text": staticmethod(made)}))
    return {"parallel_read_safe": True}
