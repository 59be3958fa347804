"""Where the mean of a stream changed: a window that grows while nothing does, and forgets its older part when that differs.

Knows numbers only. Ours and not a package's, because sixty lines that can be read are less than a dependency of hundreds of
estimators; the values of river 0.26, which has another's implementation, are in the tests.
Source   A. Bifet, R. Gavaldà, "Learning from time-changing data with adaptive windowing", SDM (2007), 443-448: ADWIN2.
"""

from collections.abc import Iterable
from math import log, sqrt

CLOCK = 32  # values between looks
BUCKETS = 5  # of each size, 1, 2, 4, ...: more would place a change more closely, and take longer
LEAST = 5  # values on each side of a cut
GRACE = 10  # values before the first look


class Adwin:
    """One stream. A cut where nothing changed has a chance of about `delta` in the whole life of a window.

    >>> window = Adwin()
    >>> [place for place in range(400) if window.see(float(place >= 200))]
    [223, 255, 287]
    """

    def __init__(self, delta: float = 0.002) -> None:
        self._delta = delta
        self._rows: list[list[tuple[float, float]]] = [[]]  # by size: (sum, squares about the mean), the newest first
        self._seen = 0
        self.width, self._sum, self._squares = 0, 0.0, 0.0

    @property
    def mean(self) -> float:
        """Of what is still in the window; NaN before the first value."""
        return self._sum / self.width if self.width else float("nan")

    def see(self, value: float) -> bool:
        """Take the next value, and say whether the window has just been cut."""
        self._seen += 1
        self._rows[0].insert(0, (value, 0.0))
        self._squares += self.width * (value - self.mean) ** 2 / (self.width + 1) if self.width else 0.0
        self.width, self._sum = self.width + 1, self._sum + value
        self._compress()
        if self._seen % CLOCK or self.width <= GRACE:
            return False
        cut = False
        while self._differs():
            self._forget()
            cut = True
        return cut

    def _compress(self) -> None:
        """Join the two oldest of a size of which there are more than five."""
        size = 0
        while len(self._rows[size]) > BUCKETS:
            if size + 1 == len(self._rows):
                self._rows.append([])
            (older, spread), (newer, other) = self._rows[size].pop(), self._rows[size].pop()
            joined = (older + newer, spread + other + (older - newer) ** 2 / (2 * 2**size))
            self._rows[size + 1].insert(0, joined)
            size += 1

    def _forget(self) -> None:
        """Drop the oldest."""
        n = 2 ** (len(self._rows) - 1)
        total, spread = self._rows[-1].pop()
        self.width, self._sum = self.width - n, self._sum - total
        if self.width:
            self._squares -= spread + n * self.width * (total / n - self.mean) ** 2 / (n + self.width)
        while len(self._rows) > 1 and not self._rows[-1]:
            self._rows.pop()

    def _differs(self) -> bool:
        """Whether some cut leaves two parts whose means are too far apart."""
        before, total = 0, 0.0
        for n, part in self._oldest():
            before, total = before + n, total + part
            after = self.width - before
            if after < LEAST:
                return False
            if before >= LEAST and self._apart(before, total / before, after, (self._sum - total) / after):
                return True
        return False

    def _oldest(self) -> Iterable[tuple[int, float]]:
        for size in range(len(self._rows) - 1, -1, -1):
            for total, _ in reversed(self._rows[size]):
                yield 2**size, total

    def _apart(self, before: int, was: float, after: int, now: float) -> bool:
        weight = log(2 * log(self.width) / self._delta)
        sizes = 1 / (before - LEAST + 1) + 1 / (after - LEAST + 1)
        variance = max(self._squares, 0.0) / self.width
        return abs(was - now) > sqrt(2 * sizes * variance * weight) + 2 / 3 * weight * sizes
