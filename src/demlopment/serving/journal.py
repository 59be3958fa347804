"""Every acknowledged prediction and every label that came back, on disk before the client has its answer.

What has been written is in the kernel's hands, so `kill -9` of any process loses nothing; a power cut may lose the last
answers. segments.py keeps the files, layout.py says what lies in them, recorded.py reads them. Knows nothing of HTTP,
models or the lake.
"""

import contextlib
import hashlib
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread
from typing import Literal

from demlopment import home
from demlopment.errors import NotReadyError
from demlopment.records import Feedback, Gap, Prediction
from demlopment.serving import layout, segments
from demlopment.serving.layout import Entry
from demlopment.serving.segments import Segment

LOOK_SECONDS = 1.0  # between two looks at the folder, which take about 0.1 ms: it outgrows its limit by a second's traffic
WARN_SECONDS = 60.0  # a log that says it oftener says nothing else


class Journal:
    """One process writes here; anybody may read meanwhile.

    images           share of the predictions whose image is kept, chosen by request id
    full             what to do with predictions that the disk does not take: refuse them, or let them be served
    segment_bytes    a file that has grown to this, or is `segment_seconds` old, is closed and another one begun
    max_bytes        of the whole folder: beyond it segments that are in the lake go, then the journal is full
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        images: float = 1.0,
        full: Literal["refuse", "serve"] = "refuse",
        segment_bytes: float = math.inf,
        segment_seconds: float = math.inf,
        max_bytes: float = math.inf,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.trouble: NotReadyError | None = None  # why the last write was refused, so health says no
        self.serves = full == "serve"
        self.images = images
        self._folder, self._name, self._now = folder, name, now
        self._segment_bytes, self._segment_seconds, self._max_bytes = segment_bytes, segment_seconds, max_bytes
        self._segment: Segment | None = None
        self._began = self._looked = self._warned = -math.inf  # seconds since 1970
        self._over = False
        self._gap: Gap | None = None
        self._closing: list[Thread] = []
        with home.explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            self._begin()
        except NotReadyError as error:
            if not self.serves:
                raise
            self.trouble = error

    @property
    def failing(self) -> bool:
        """Whether the last write was refused."""
        return self.trouble is not None

    def record(
        self, predictions: Sequence[Prediction] = (), feedback: Sequence[Feedback] = (), *, unasked: bool = False
    ) -> bool:
        """Write all of it in one entry, or none; whether it was written.

        Raises NotReadyError if the disk is full or failing. A journal that serves says no instead, where all that is
        lost are predictions, and remembers how many, unless nobody had `unasked` for them.
        """
        try:
            self._look()
            self._write(predictions, feedback)
        except NotReadyError as refused:
            self.trouble = refused
            if not self.serves or feedback:
                raise
            if predictions and not unasked:
                self._miss(predictions)
            return False
        self.trouble = None
        return True

    def probe(self) -> None:
        """Try a write that leaves only the record of a gap, so that room is noticed without traffic."""
        self._looked = -math.inf
        try:
            self._look()
            self._write(probing=True)
        except NotReadyError as refused:
            self.trouble = refused
        else:
            self.trouble = None

    def tend(self) -> None:
        """What time asks for: close a file that is old, notice room. Without it both wait for the next request."""
        if self.failing:
            self.probe()
        else:
            with contextlib.suppress(NotReadyError):  # the next request is told
                self._look()

    def close(self) -> None:
        """Record a gap that is still open, and let go of the file."""
        if self._gap is not None and self._segment is not None:
            with contextlib.suppress(NotReadyError):
                self._write()
        if self._gap is not None:
            _say(f"{self._gap.count} answers were not recorded, and neither can this be: {self.trouble}")
        if self._segment is not None:
            self._segment.close()
            self._segment = None
        for thread in self._closing:
            thread.join()

    def _write(
        self, predictions: Sequence[Prediction] = (), feedback: Sequence[Feedback] = (), *, probing: bool = False
    ) -> None:
        assert self._segment is not None, "_look has begun one or raised"
        gaps = () if self._gap is None else (self._gap,)
        entry = layout.packed(Entry(predictions, feedback, gaps), self._keeps)
        try:
            if probing:
                self._segment.probe()
            if gaps or not probing:
                self._segment.append(entry)
        except OSError as error:
            raise _unwritable(error) from error
        self._gap = None

    def _keeps(self, request_id: str) -> bool:
        return keeps_image(request_id, self.images)

    def _look(self) -> None:
        """Now and then: begin another file when this one has had its time or size, and see to the limit of the folder."""
        at = self._now()
        if abs(at - self._looked) >= LOOK_SECONDS or self._segment is None:  # the clock may be set back
            self._looked = at
            try:
                self._see_to_the_folder(at)
            except OSError as error:
                self._looked = -math.inf  # the next request is told the same
                raise _unwritable(error) from error
        if self._over:
            raise NotReadyError(
                f"The journal has reached its limit of {self._max_bytes / 1e6:.0f} MB.",
                "Run `demlopment data compact`, or raise DEMLOPMENT_ENDPOINT__JOURNAL_MAX_MB.",
            )

    def _see_to_the_folder(self, at: float) -> None:
        self._over = math.isfinite(self._max_bytes) and not segments.make_room(self._folder, self._max_bytes)
        if self._segment is not None and not self._segment.path.exists():
            _say(f"{self._segment.path} was removed while it was written, with all that was in it")
            self._segment.close()
            self._segment = None
        if self._segment is None:
            self._begin()
        elif self._due(self._segment, at):
            with contextlib.suppress(NotReadyError):  # no room for another file: this one goes on
                self._begin()

    def _due(self, segment: Segment, at: float) -> bool:
        # What is over the limit can only be moved away once it is closed.
        old = at - self._began >= self._segment_seconds
        return not segment.empty and (old or self._over or segment.size >= self._segment_bytes)

    def _begin(self) -> None:
        """Write to a file of its own from now on; the one before is closed beside the requests: the disk takes its time."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            fresh = Segment(self._folder, self._name, layout.FIRST_LINE)
        except OSError as error:
            problem = f"The journal {self._folder} cannot be started: {error}."
            raise NotReadyError(problem, "See to the disk that holds it.") from error
        former, self._segment, self._began = self._segment, fresh, self._now()
        self._closing = [thread for thread in self._closing if thread.is_alive()]
        if former is not None:
            self._closing.append(Thread(target=former.close, name="journal"))
            self._closing[-1].start()

    def _miss(self, predictions: Sequence[Prediction]) -> None:
        times = [prediction.at for prediction in predictions]
        gap = self._gap or Gap(min(times), max(times), 0)
        self._gap = Gap(min(gap.start, *times), max(gap.end, *times), gap.count + len(times))
        if abs(self._now() - self._warned) >= WARN_SECONDS:
            self._warned = self._now()
            _say(f"answers leave without a record, {self._gap.count} so far: {self.trouble}")


def keeps_image(request_id: str, share: float) -> bool:
    """Whether the image of this request belongs to the kept `share`, which a larger share keeps too."""
    if share >= 1:
        return True
    digest = hashlib.blake2b(request_id.encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48 < share


def _unwritable(error: OSError) -> NotReadyError:
    return NotReadyError(f"The journal cannot be written: {error.strerror or error}.", "Try again when the disk has room.")


def _say(sentence: str) -> None:
    print(f"JOURNAL: {sentence}", file=sys.stderr, flush=True)
