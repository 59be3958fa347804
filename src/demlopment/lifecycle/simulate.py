"""Production with a known truth: users who write digits, send them over HTTP, and later say what they had meant.

Plays the world outside. Knows the endpoint only as a client knows it, and no room at all; the loop tells the monitors
nothing of what is drawn here. Everything follows from one seed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import httpx2
import numpy as np
import numpy.typing as npt

from demlopment import images
from demlopment.errors import NotReadyError
from demlopment.records import Examples

UNIT_HEADER = "x-unit-id"


@dataclass(frozen=True)
class Pen:
    """How a hand and its pen change a digit that MNIST holds. The default changes nothing."""

    thickness: int = 0  # pixels added around each stroke
    slant: float = 0.0  # degrees, positive leans to the right

    def draw(self, digit: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """(28, 28) light on dark -> (56, 56) dark on light, as a scanner sees paper."""
        paper = np.zeros((2 * images.SIDE, 2 * images.SIDE), np.uint8)
        corner = images.SIDE // 2
        paper[corner : corner + images.SIDE, corner : corner + images.SIDE] = digit
        if self.slant:
            lean = float(np.tan(np.radians(self.slant)))
            matrix = np.array([[1, -lean, lean * images.SIDE], [0, 1, 0]], np.float32)
            paper = np.asarray(cv2.warpAffine(paper, matrix, paper.shape, flags=cv2.INTER_LINEAR), np.uint8)
        if self.thickness:
            tip = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * self.thickness + 1, 2 * self.thickness + 1))
            paper = np.asarray(cv2.dilate(paper, tip), np.uint8)
        return np.asarray(255 - paper, np.uint8)


@dataclass(frozen=True)
class World:
    """One stretch of production: who writes, with what, and when that changes."""

    users: int = 1000
    change_at: float = 0.5  # share of the requests after which every pen is another one
    before: Pen = Pen()
    after: Pen = Pen(thickness=3, slant=20.0)
    labelled: float = 0.75  # share of the answers whose truth comes back
    delay: int = 200  # requests that pass, on average, before it does
    seed: int = 11


DEFAULT = World()


@dataclass(frozen=True)
class Letter:
    """One request that a user will send, with the truth that only the simulation knows."""

    unit: str
    png: bytes  # or a JPEG
    truth: str  # "" where it belongs to no class
    label_after: int | None  # index of the request after which the label comes back; None for never


@dataclass(frozen=True)
class Answer:
    """What the endpoint said to one letter."""

    request_id: str
    label: str
    version: str
    arm: str


def letters(stream: Examples, classes: Sequence[str], world: World) -> tuple[list[Letter], int]:
    """Every request of the stretch in order, each example sent once, and the index of the first after the change."""
    rng = np.random.default_rng(world.seed)
    order = rng.permutation(len(stream))
    change = round(len(order) * world.change_at)
    writers = rng.integers(world.users, size=len(order))
    returns = rng.random(len(order)) < world.labelled
    delays = rng.geometric(1 / world.delay, size=len(order))
    sent = [
        Letter(
            unit=f"user-{writers[i]:04d}",
            png=images.encode_png((world.before if i < change else world.after).draw(stream.images[row])),
            truth=classes[stream.labels[row]],
            label_after=int(i + delays[i]) if returns[i] else None,
        )
        for i, row in enumerate(order)
    ]
    return sent, change


def send(
    sent: Sequence[Letter],
    inference: str,
    model: str,
    *,
    headers: Mapping[str, str],
    clients: int = 4,
    progress: Callable[[int], None],
) -> list[Answer]:
    """Post the letters in order, a few at a time, and the labels as they come due; the answers in the letters' order.

    Raises NotReadyError if the endpoint refuses or fails one: production that loses a request is not a demonstration.
    """
    answers: list[Answer] = []
    due = _labels_by_time(sent)
    with httpx2.Client(base_url=inference, timeout=30, headers=headers) as http, ThreadPoolExecutor(clients) as users:
        for batch in _batches(len(sent), clients):
            answers += users.map(lambda i: _ask(http, model, sent[i]), batch)
            for i in _until(due, batch.stop):
                _tell(http, answers[i], sent[i].truth)
            progress(len(answers))
        for i in _until(due, None):
            _tell(http, answers[i], sent[i].truth)
    return answers


def _batches(count: int, size: int) -> Iterator[range]:
    return (range(start, min(start + size, count)) for start in range(0, count, size))


def _labels_by_time(sent: Sequence[Letter]) -> list[tuple[int, int]]:
    """(when, which letter) with the latest first, so that the next one due is popped from the end."""
    due = [(letter.label_after, i) for i, letter in enumerate(sent) if letter.label_after is not None]
    return sorted(due, reverse=True)


def _until(due: list[tuple[int, int]], now: int | None) -> Iterator[int]:
    while due and (now is None or due[-1][0] < now):
        yield due.pop()[1]


def _ask(http: httpx2.Client, model: str, letter: Letter) -> Answer:
    answer = _post(http, f"/predictions/{model}", content=letter.png, headers={UNIT_HEADER: letter.unit})
    headers = answer.headers
    return Answer(headers["x-request-id"], answer.text, headers["x-model-version"], headers["x-arm"])


def _tell(http: httpx2.Client, answer: Answer, truth: str) -> None:
    _post(http, "/feedback", json={"request_id": answer.request_id, "label": truth})


def _post(http: httpx2.Client, path: str, **arguments: Any) -> httpx2.Response:
    try:
        answer = http.post(path, **arguments)
    except httpx2.TransportError as error:
        raise NotReadyError(f"The endpoint does not answer {path}: {error}.", "Run the same command again.") from error
    if not answer.is_success:
        raise NotReadyError(
            f"The endpoint answered {path} with {answer.status_code}: {answer.text.strip()}.",
            "Look at endpoint/endpoint.log in the home.",
        )
    return answer
