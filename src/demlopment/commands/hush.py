"""What a C library says of damaged data on descriptor 2, kept from the terminal; all else is passed on. Knows no command."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# libjpeg has no other way to remark upon a picture that it decodes none the less; and where a file cannot be written, a
# library below Delta panics after it has told so, which we say in our words.
REMARKS = re.compile(
    rb"^(?:Corrupt JPEG data: |Premature end of JPEG |Warning: unknown JFIF |Inconsistent progression sequence ).*\n?"
    rb"|\n?^thread '[^']*' (?:\(\d+\) )?panicked at .*object_store.*\nAlready shut down\n"
    rb"(?:(?:stack backtrace:|note: | +\d+: | +at ).*\n)*",
    re.MULTILINE,
)


@contextmanager
def hushed() -> Iterator[None]:
    """Python's own standard error goes where it went; what libraries write comes when it is over, without such remarks."""
    sys.stderr.flush()
    terminal, before = os.dup(2), sys.stderr
    with tempfile.TemporaryFile() as heard, os.fdopen(os.dup(terminal), "w", buffering=1, errors="backslashreplace") as ours:
        os.dup2(heard.fileno(), 2)
        if before is sys.__stderr__:  # not where a test has put another in its place
            sys.stderr = ours
        try:
            yield
        finally:
            sys.stderr = before
            os.dup2(terminal, 2)
            heard.seek(0)
            os.write(terminal, REMARKS.sub(b"", heard.read()))
            os.close(terminal)
