"""Which code runs. Knows nothing of what it makes."""

import subprocess
from pathlib import Path


def commit() -> str:
    """The commit of the code that runs, "unknown" outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git on this machine: the code came as a package or a tarball
        return "unknown"
    return found.stdout.strip() or "unknown"
