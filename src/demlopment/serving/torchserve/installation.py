"""Whether the real TorchServe can be started, and with which Java and Python. Starts no server."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from demlopment.errors import SettingsError

VERSION = "0.12.0"  # the last one there is, and the one whose answers are recorded
OLDEST_JAVA = 11
NEEDED = ("torch", "yaml", "psutil", "onnxruntime", "cv2")  # to start a worker, and to run our archives
PATIENCE_SECONDS = 60  # a busy machine starts a Python and a Java in less
LOOK = """
import importlib.metadata, importlib.util, json, os, sys
found = importlib.util.find_spec("ts")
print(json.dumps({
    "version": importlib.metadata.version("torchserve") if found else "",
    "home": os.path.dirname(os.path.dirname(os.path.realpath(found.origin))) if found else "",
    "missing": [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None],
}))
"""
REMEDY = (
    "Install it there with pip install 'demlopment[torchserve]', or name another environment in "
    "DEMLOPMENT_ENDPOINT__TORCHSERVE_ENVIRONMENT."
)


@dataclass(frozen=True)
class Installation:
    """What a TorchServe is started with."""

    java: Path
    python: Path
    home: Path  # the folder that holds its package, which it calls model_server_home

    @property
    def classes(self) -> str:
        """Where Java finds the server. The working directory, which TorchServe's launcher adds, is no place to load from."""
        return str(self.home / "ts" / "frontend" / "*")


def found(environment: Path | None, variables: Mapping[str, str] = os.environ) -> Installation:
    """The TorchServe of an environment, None for the one that runs us.

    Raises SettingsError for a Java or a TorchServe that is missing or too old, naming what to install.
    """
    java = _java(variables)
    python = Path(sys.executable) if environment is None else environment.absolute() / "bin" / "python"
    place = environment or Path(sys.prefix)
    said = _said([str(python), "-P", "-c", LOOK, *NEEDED])
    if said is None:
        raise SettingsError(f"{place} is no Python environment.", REMEDY)
    seen = json.loads(said)
    if not seen["version"]:
        raise SettingsError(f"{place} holds no TorchServe.", REMEDY)
    if seen["version"] != VERSION:
        raise SettingsError(f"{place} holds TorchServe {seen['version']}, and {VERSION} is needed.", REMEDY)
    if seen["missing"]:
        raise SettingsError(f"{place} holds TorchServe without {', '.join(seen['missing'])}, which its workers need.", REMEDY)
    return Installation(java, python, Path(seen["home"]))


def _java(variables: Mapping[str, str]) -> Path:
    """JAVA_HOME's, as TorchServe's own launcher takes it, otherwise the one on the path."""
    home = variables.get("JAVA_HOME")
    named = str(Path(home) / "bin" / "java") if home else shutil.which("java", path=variables.get("PATH"))
    remedy = f"Install a Java runtime of version {OLDEST_JAVA} or newer, like openjdk-17-jre-headless, or set JAVA_HOME."
    if named is None:
        raise SettingsError("TorchServe needs Java, and there is no java on the PATH.", remedy)
    said = _said([named, "-version"], stderr=True)
    if said is None:
        raise SettingsError(f"TorchServe needs Java, and {named} cannot be run.", remedy)
    number = re.search(r'version "(?:1\.)?(\d+)', said)  # Java 8 calls itself 1.8
    if number is None or int(number[1]) < OLDEST_JAVA:
        shown = said.splitlines()[0] if said.strip() else "nothing"
        raise SettingsError(f"TorchServe needs Java {OLDEST_JAVA}, and {named} says {shown!r:.80}.", remedy)
    return Path(named)


def _said(command: list[str], *, stderr: bool = False) -> str | None:
    """What a program that ended well has printed, or None."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stderr if stderr else ended.stdout
