"""What the journal's files hold, for whoever learns from it. Knows the rows; knows no lake."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from demlopment.errors import DataError
from demlopment.records import Feedback, Gap, Prediction
from demlopment.serving import layout, segments
from demlopment.serving.layout import Entry


@dataclass(frozen=True, eq=False)
class Recorded:
    """What was recorded in some segments, in order of time."""

    predictions: list[Prediction]
    feedback: list[Feedback]
    gaps: list[Gap]
    segments: frozenset[str]  # by name; of each of them everything is here
    shadows: list[Prediction] = field(default_factory=list)  # of what no client was told
    repeated: int = 0  # answers that stood in two segments

    def __bool__(self) -> bool:
        return bool(self.predictions or self.feedback or self.gaps or self.shadows)


@dataclass(frozen=True)
class Joined:
    """The labels that found their predictions."""

    labels: Mapping[str, str]  # request id -> label; the last feedback by time wins
    unknown: int  # feedback whose request id is in no prediction, or in more than one


def read(folder: Path, since: float = 0.0) -> tuple[list[Prediction], list[Feedback]]:
    """Everything in the journal's files that clients said or were told at or after `since` (seconds since 1970), by time.

    Reads files that are being written and what a killed process left. Raises DataError naming a file that is damaged.
    """
    found = found_in(folder, since)
    return found.predictions, found.feedback


def found_in(folder: Path, since: float = 0.0) -> Recorded:
    """As `read`, with the gaps and with the names of the segments: of those nothing has to be looked for in the lake."""
    parts: list[Recorded] = []
    for path in segments.every(folder):
        with suppress(FileNotFoundError):  # it went meanwhile, so it is in the lake
            parts.append(read_segment(path, since))
    return together(parts)


def read_segment(path: Path, since: float = 0.0) -> Recorded:
    """What one segment holds. Raises DataError if it is damaged, FileNotFoundError if it is gone."""
    found = Recorded([], [], [], frozenset([path.stem]))
    for entry in _entries(path):
        for each in entry.predictions:
            if each.at >= since:
                (found.shadows if each.arm == "shadow" else found.predictions).append(each)
        found.feedback.extend(each for each in entry.feedback if each.at >= since)
        found.gaps.extend(each for each in entry.gaps if each.end >= since)
    return found


def forget(path: Path, table: Literal["predictions", "feedback"], request_ids: Collection[str]) -> int | None:
    """Remove the rows of those requests from a complete segment, which is written anew, and say how many they were.

    None if the segment is still written, 0 if it is gone. Raises DataError if it is damaged.
    """
    asked = set(request_ids)
    try:
        if not segments.complete(path):
            return None
        before = list(_entries(path))
    except FileNotFoundError:  # its writer closed it, and nothing was in it
        return 0
    after = [_without(each, table, asked) for each in before]
    removed = sum(len(getattr(entry, table)) for entry in before) - sum(len(getattr(entry, table)) for entry in after)
    if removed:
        segments.replace(path, layout.FIRST_LINE + b"".join(map(layout.packed, after)))
    return removed


def together(parts: Sequence[Recorded]) -> Recorded:
    """All of them in order of time; where times are equal, in their own order. An answer that two of them hold stands once."""
    whole = Recorded([], [], [], frozenset[str]().union(*(part.segments for part in parts)))
    for part in parts:
        whole.predictions.extend(part.predictions)
        whole.shadows.extend(part.shadows)
        whole.feedback.extend(part.feedback)
        whole.gaps.extend(part.gaps)
    told = len(whole.predictions)
    whole.predictions[:] = _once(whole.predictions)
    whole.shadows[:] = _once(whole.shadows)
    whole.feedback.sort(key=lambda each: each.at)
    whole.gaps.sort(key=lambda each: each.start)
    return replace(whole, repeated=told - len(whole.predictions))


def join(predictions: Iterable[Prediction], feedback: Iterable[Feedback]) -> Joined:
    """Which label each prediction turned out to have, however late, repeated or out of order the labels came."""
    asked = Counter(prediction.request_id for prediction in predictions)
    # Clients may choose their ids. Of one that was used twice nobody can say which picture the label is about.
    known = {request_id for request_id, times in asked.items() if times == 1}
    labels: dict[str, str] = {}
    unknown = 0
    for each in sorted(feedback, key=lambda each: each.at):
        if each.request_id in known:
            labels[each.request_id] = each.label
        else:
            unknown += 1
    return Joined(labels, unknown)


def _once(answers: Sequence[Prediction]) -> list[Prediction]:
    """By time. A segment that was copied holds the same answers, and their labels would be of ids that were used twice."""
    single = {_key(each): each for each in answers}
    return sorted(single.values(), key=lambda each: each.at)


def _key(answer: Prediction) -> tuple[str, float, str, str]:
    """Clients may choose their ids, so the picture belongs to it."""
    return answer.request_id, answer.at, answer.version, answer.digest


def _entries(path: Path) -> list[Entry]:
    content = path.read_bytes()
    with segments.damage_named(path):
        try:
            return list(layout.entries(content))
        except layout.UnknownFormError as unknown:
            problem = f"The journal {path} has a form that this version does not know."
            raise DataError(problem, "Read it with a newer version.") from unknown


def _without(entry: Entry, table: Literal["predictions", "feedback"], asked: Set[str]) -> Entry:
    if table == "predictions":
        return replace(entry, predictions=[each for each in entry.predictions if each.request_id not in asked])
    return replace(entry, feedback=[each for each in entry.feedback if each.request_id not in asked])
