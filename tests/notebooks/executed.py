"""Execute a notebook as Jupyter would, in one fresh interpreter; `python -m tests.notebooks.executed` keeps what came of it.

nbclient and ipykernel would bring thirty packages for this.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "notebooks"
SECONDS = 280  # less than a test may take
RUNNER = r"""
import ast, contextlib, io, json, sys

def shown(value):
    svg = getattr(value, "_repr_svg_", None)
    said = {"text/plain": repr(value)} if svg is None else {"image/svg+xml": svg()}
    return {"output_type": "execute_result", "metadata": {}, "data": said}

names, found = {"__name__": "__main__"}, []
for number, source in enumerate(json.load(sys.stdin), start=1):
    tree, said, value = ast.parse(source), io.StringIO(), None
    with contextlib.redirect_stdout(said):
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"<cell {number}>", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"<cell {number}>", "eval"), names)
    outputs = []
    if said.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": said.getvalue()})
    if value is not None:
        outputs.append({**shown(value), "execution_count": number})
    found.append(outputs)
json.dump(found, sys.stdout)
"""


def code(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The cells that are run."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def outputs(notebook: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """What each of its cells gives now. Raises RuntimeError with the traceback where one fails."""
    sources = ["".join(cell["source"]) for cell in code(notebook)]
    command = [sys.executable, "-W", "error", "-c", RUNNER]
    done = subprocess.run(
        command, input=json.dumps(sources), capture_output=True, text=True, check=False, timeout=SECONDS, cwd=FOLDER
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    given: list[list[dict[str, Any]]] = json.loads(done.stdout)
    return given


def write(path: Path) -> None:
    """Keep in a notebook what its cells give now."""
    notebook = json.loads(path.read_text())
    for number, (cell, given) in enumerate(zip(code(notebook), outputs(notebook), strict=True), start=1):
        cell["outputs"], cell["execution_count"] = given, number
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    for each in sys.argv[1:] or sorted(map(str, FOLDER.glob("*.ipynb"))):
        write(Path(each))
