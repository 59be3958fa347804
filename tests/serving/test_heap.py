"""Memory that is used again and again."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from demlopment.serving import heap
if sys.argv[1] == "kept":
    heap.keep()
def use():
    bodies = [b"x" * 1_000_000 for _ in range(8)]
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the page faults are those of glibc")
def test_a_process_that_keeps_its_heap_is_given_the_pages_of_a_body_once() -> None:
    faults = {
        word: int(subprocess.run([sys.executable, "-c", SCRIPT, word], check=True, capture_output=True, text=True).stdout)
        for word in ("kept", "usual")
    }

    assert faults["kept"] < faults["usual"] / 10, faults
