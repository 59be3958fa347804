"""What a worker may know of this machine's environment. Knows no process.

Variables are let through by name, because a secret can have any: those that libraries need, those that begin with TS_, and
those that a person has named. TorchServe lets everything through; `strict` does so too, but for our own.
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

KEPT = re.compile(
    "PATH|LANG|LC_.*|TZ|LD_LIBRARY_PATH|TMPDIR|PYTHON.*|TS_.*"
    # Where numerical libraries find devices and caches, and how many threads they start.
    "|(CUDA|NVIDIA|NCCL|OMP|MKL|OPENBLAS|KMP|GOMP|TORCH|PYTORCH|ORT|HF|TRANSFORMERS|TOKENIZERS)_.*"
)
SECRET = re.compile("TOKEN(?!IZER)|SECRET|PASSW|CREDENTIAL|API_?KEY|PRIVATE|AUTH", re.IGNORECASE)
OURS = "DEMLOPMENT_"


def reduced(
    environment: Mapping[str, str], home: Path, hidden: str = "", passed: str = "", *, strict: bool = False
) -> dict[str, str]:
    """The variables of `environment` for a worker that lives in `home`.

    None of ours, and none whose whole name matches the regular expression `hidden`. Of the rest all if `strict`, otherwise
    what is harmless by its name or matches one of the comma separated patterns in `passed`, in which `*` is any text.
    """
    patterns = [each.strip() for each in passed.split(",")]
    seen = {
        name: value
        for name, value in environment.items()
        if not name.startswith(OURS)
        and not (hidden and re.fullmatch(hidden, name))
        and (strict or _harmless(name) or any(fnmatchcase(name, pattern) for pattern in patterns))
    }
    return seen | ({} if strict and "HOME" in seen else {"HOME": str(home)}) | {"PYTHONUNBUFFERED": "1"}


def _harmless(name: str) -> bool:
    return bool(KEPT.fullmatch(name)) and not SECRET.search(name)
