"""Networks that have failed on a picture, each of which is logged once: one that always fails would fill a disk."""

import logging

from demlopment.serving.engine import Key

log = logging.getLogger(__name__)


class FailureLog:
    """Of one kind of question."""

    def __init__(self, what: str) -> None:
        """`what` they fail at, as the log says it."""
        self._what = what
        self._known: set[Key] = set()

    def exception(self, key: Key) -> None:
        """Log the exception that is being handled, unless this network has failed before."""
        if key not in self._known:
            self._known.add(key)
            log.exception("%s %s failed %s; it is said once", *key, self._what)
