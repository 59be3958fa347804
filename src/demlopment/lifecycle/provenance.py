"""Which code runs, and on what. Knows nothing of what it makes."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

DECIDING = ("demlopment", "torch", "numpy", "opencv-python-headless")  # whose release may change a number
PROCESSES = "processes"  # in a card's lineage, where several fitted the network together
PACKAGE = Path(__file__).parents[1]


def commit() -> str:
    """The commit of the code that runs, "unknown" outside a checkout."""
    return _git("rev-parse", "HEAD") or "unknown"


def edited() -> bool | None:
    """Whether the code that runs is not what its commit has; None outside a checkout.

    A file that git does not know counts only beside our code: elsewhere it changes nothing.
    """
    if commit() == "unknown":
        return None
    return bool(_git("status", "--porcelain", "--untracked-files=no") or _git("status", "--porcelain", "--", "."))


def told(commit: str, *, edited: bool | None) -> str:
    """The code behind a model as a sentence, or nothing where its commit says all.

    >>> told("0123456789abcdef", edited=True)
    'Its code was edited after the commit 0123456789ab, and nobody can look it up.'
    """
    if edited is None:
        return "Its code stands in no checkout, so no commit names it."
    return f"Its code was edited after the commit {commit[:12]}, and nobody can look it up." if edited else ""


def environment() -> dict[str, str | bool | None]:
    """What besides code, rows and recipe may change a number: releases, processor, and whether the code was edited."""
    releases: dict[str, str | bool | None] = {name: version(name) for name in DECIDING}
    return releases | {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "edited": edited(),
    }


def _git(*command: str) -> str:
    """What git says of the checkout that the package is in; nothing outside one."""
    whole = ["git", "-C", str(PACKAGE), *command]
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
