"""Ask versions that nobody hears: of what clients have been answered, a copy. Knows networks and the journal; knows no HTTP.

A shadow is asked when its request has its answer, in small batches that have a stated share of the process's time at most;
what they do not come to is dropped and counted. Nothing that happens here reaches a client.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from demlopment import seen
from demlopment.errors import NotReadyError
from demlopment.records import Prediction
from demlopment.serving.engine import Network
from demlopment.serving.failures import FailureLog
from demlopment.serving.guardrails import Watch
from demlopment.serving.journal import Journal
from demlopment.serving.tally import Tally

MOST = 1024  # pictures that wait, 1 kB each
BATCH = 16  # pictures at once: a request that comes meanwhile waits half a millisecond for them, 20 of the large profile
PAUSE = 0.005  # s, so that what comes together is asked together
SHARE = 1 / 10  # of the time of the process, at most: a busy one keeps the rest for those who wait
DROPPED, FAILED = "demlopment_shadows_dropped_total", "demlopment_shadows_failed_total"


class Asked(NamedTuple):
    """A picture that a shadow has still to answer."""

    network: Network
    told: Prediction  # what the client heard
    watch: Watch | None  # wants to hear what the canary's control would have said


@dataclass(eq=False)
class Shadows:
    """What the shadows of one serving process have still to answer."""

    journal: Journal
    tally: Tally
    now: Callable[[], float] = time.time
    _waiting: deque[Asked] = field(default_factory=deque)
    _planned: bool = False
    log: FailureLog = field(default_factory=lambda: FailureLog("as a shadow"))

    def ask(self, networks: Sequence[Network], told: Prediction, watch: Watch | None = None) -> None:
        """Have each of them answer, later, the picture that a client has been told about; what is no picture is dropped."""
        for network in networks:
            if told.image is None or len(self._waiting) >= MOST or self.journal.failing:
                self.tally.add(DROPPED, *network.key)
            else:
                self._waiting.append(Asked(network, told, watch))
        if self._waiting and not self._planned:
            self._planned = True
            asyncio.get_running_loop().call_later(PAUSE, self._turn)

    def finish(self) -> None:
        """Answer everything at once: the process is being stopped, and no client waits."""
        while self._waiting:
            self._answer()

    def _turn(self) -> None:
        began = time.perf_counter()
        if self._waiting:
            self._answer()
        self._planned = bool(self._waiting)
        if self._planned:
            rest = (time.perf_counter() - began) * (1 / SHARE - 1)
            asyncio.get_running_loop().call_later(max(rest, PAUSE if len(self._waiting) < BATCH else 0), self._turn)

    def _answer(self) -> None:
        """Of those that wait, the first ones of one network."""
        network, batch, others = self._waiting[0].network, list[Asked](), list[Asked]()
        while self._waiting and len(batch) < BATCH and len(others) < MOST:
            asked = self._waiting.popleft()
            (batch if asked.network is network else others).append(asked)
        self._waiting.extendleft(reversed(others))
        try:
            found = self._predictions(network, [asked.told for asked in batch])
            recorded = self.journal.record(found, unasked=True)
        except NotReadyError:
            found, recorded = [], False
        except Exception:
            self.tally.add(FAILED, *network.key, amount=len(batch))
            self.log.exception(network.key)
            return
        for asked, said in zip(batch, found, strict=False):
            if asked.watch is not None and said.version == asked.watch.plan.control:
                asked.watch.agree(asked.told, said)
        if recorded:
            self.tally.add("demlopment_predictions_total", *network.key, "shadow", amount=len(batch))
        else:
            self.tally.add(DROPPED, *network.key, amount=len(batch))

    def _predictions(self, network: Network, batch: Sequence[Prediction]) -> list[Prediction]:
        started = time.perf_counter()
        shown = [told.image for told in batch if told.image is not None]
        probabilities, embeddings = network.run(seen.stacked(shown))
        at, milliseconds = self.now(), (time.perf_counter() - started) * 1000
        return [
            told._replace(
                at=at,
                version=network.version,
                arm="shadow",
                image=None,  # the answer that the client had has it
                label=network.classes[int(np.argmax(row))],
                probabilities=row,
                embedding=embedding,
                latency_ms=milliseconds,
            )
            for told, row, embedding in zip(batch, probabilities, embeddings, strict=True)
        ]
