"""Which code runs, and on what. Knows nothing of what it makes."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

DECIDING = ("demlopment", "torch", "numpy", "opencv-python-headless")  # whose release may change a number


def commit() -> str:
    """The commit of the code that runs, "unknown" outside a checkout."""
    return _git("rev-parse", "HEAD") or "unknown"


def environment() -> dict[str, str | bool | None]:
    """What besides code, rows and recipe may change a number: releases, processor, and whether the code was edited.

    `edited` is None outside a checkout.
    """
    releases: dict[str, str | bool | None] = {name: version(name) for name in DECIDING}
    edited = None if commit() == "unknown" else bool(_git("status", "--porcelain", "--untracked-files=no"))
    return releases | {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "edited": edited,
    }


def _git(*command: str) -> str:
    """What git says of the checkout that this file is in; nothing outside one."""
    whole = ["git", "-C", str(Path(__file__).parent), *command]
    try:
        return subprocess.run(whole, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:  # no git on this machine: the code came as a package or a tarball
        return ""


def _processor() -> str:
    """The processor's model, which decides the order in which a library adds; as much as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(found, platform.processor() or f"{os.cpu_count()} cores")
