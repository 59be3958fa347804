"""Write down what the real TorchServe answers: `python -m tests.torchserve.record`."""

import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.torchserve import real
from tests.torchserve.normal import Seen
from tests.torchserve.play import play
from tests.torchserve.scenarios import of
from tests.torchserve.server import CONFIGURATIONS
from tests.torchserve.table import Scenario

FILE = Path(__file__).with_name("recorded.json")
VERSIONS = """
from importlib.metadata import version
from platform import python_version
print(version("torchserve"), version("torch"), python_version())
"""

Recording = dict[str, dict[str, list[Seen]]]  # scenario -> row -> an answer a request


def recorded() -> Recording:
    """What the real server answered when it was last asked."""
    answers: Recording = json.loads(FILE.read_text())["answers"]
    return answers


def main() -> None:
    sorry = real.missing()
    if sorry:
        sys.exit(sorry)
    before = recorded() if FILE.exists() else {}
    answers: Recording = {}
    for name, configuration in CONFIGURATIONS.items():
        with tempfile.TemporaryDirectory() as folder, real.running(Path(folder), configuration) as server:
            for scenario in of(name):
                print(scenario.name, flush=True)
                answers[scenario.name] = play(server, scenario) | _kept(scenario, before)
    document = {"about": _about(), "answers": answers}
    FILE.write_text(json.dumps(document, indent=0, ensure_ascii=False, sort_keys=True) + "\n")


def _kept(scenario: Scenario, before: Recording) -> dict[str, list[Seen]]:
    past = before.get(scenario.name, {})
    return {row.title: past[row.title] for row in scenario.rows if row.varies and row.title in past}


def _about() -> dict[str, Any]:
    python = real.environment() / "bin" / "python"
    torchserve, torch, version = subprocess.check_output([python, "-c", VERSIONS], text=True).split()
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr.splitlines()[0]
    day = datetime.now(UTC).date().isoformat()
    return {"torchserve": torchserve, "torch": torch, "python": version, "java": java, "day": day}


if __name__ == "__main__":
    main()
