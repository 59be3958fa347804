"""What a worker may know of this machine's environment. Knows no process.

Variables are let through by name, because a secret can have any. Handlers of one machine often read settings of their
own: those can be given names that begin with TS_.
"""

import re
from collections.abc import Mapping
from pathlib import Path

KEPT = re.compile(
    "PATH|LANG|LC_.*|TZ|LD_LIBRARY_PATH|TMPDIR|PYTHON.*|TS_.*"
    # Where numerical libraries find devices and caches, and how many threads they start.
    "|(CUDA|NVIDIA|NCCL|OMP|MKL|OPENBLAS|KMP|GOMP|TORCH|PYTORCH|ORT|HF|TRANSFORMERS|TOKENIZERS)_.*"
)
SECRET = re.compile("TOKEN(?!IZER)|SECRET|PASSW|CREDENTIAL|API_?KEY|PRIVATE|AUTH", re.IGNORECASE)
OURS = "DEMLOPMENT_"


def reduced(environment: Mapping[str, str], home: Path, hidden: str = "") -> dict[str, str]:
    """The variables of `environment` for a worker that lives in `home`; none whose whole name matches `hidden`."""
    seen = {
        name: value for name, value in environment.items() if _harmless(name) and not (hidden and re.fullmatch(hidden, name))
    }
    return seen | {"HOME": str(home), "PYTHONUNBUFFERED": "1"}


def _harmless(name: str) -> bool:
    return bool(KEPT.fullmatch(name)) and not SECRET.search(name) and not name.startswith(OURS)
