"""Does an endpoint answer as the model that was judged? It is asked for two pictures, and every class's probability compared.

Composes the archive's own reading with answers over HTTP; knows no gate.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path

from demlopment import archive, evaluation, recall, seen
from demlopment.archive import Archive
from demlopment.errors import NotReadyError
from demlopment.lifecycle import policy
from demlopment.lifecycle.rollout import Rollout
from demlopment.recall import TOLERANCE, apart
from demlopment.records import Check, Verdict

NAME = "the endpoint's answers beside the judged model's"


def bring_up(rollout: Rollout, path: Path, record: Callable[[Verdict], Verdict]) -> None:
    """Load an archive into the endpoint, and see that it answers there as it did when it was judged.

    Raises NotReadyError if it does not, after the verdict is recorded and a version that was not there before let go.
    """
    model = archive.read(path)
    name, version = model.card.name, model.card.version
    try:
        new = rollout.bring_up(path)
    except NotReadyError as refused:
        if recall.UNLIKE in str(refused):  # the endpoint itself has seen it
            record(policy.of_refused_load(refused, model.card.title))
        raise
    check = skew(model, [rollout.ask(name, version, each) for each in asked(model)])
    if not check.met:
        verdict = record(policy.of_skew(check, model.card.title))
        if new:
            rollout.let_go(name, version)
        raise NotReadyError(verdict.reason, "Serve it with the code that trained it, and run the same command again.")


def asked(model: Archive) -> list[bytes]:
    """The pictures or rows of `recall`, as a client sends them."""
    columns = model.card.columns
    return [model.sample, seen.encode(recall.pictures(model.sample, columns)[1], columns)]


def skew(model: Archive, answers: Sequence[bytes]) -> Check:
    """How far the answers to `asked` are from what the archive says itself: of all pictures and classes the most, in nats."""
    card = model.card if model.card.answer.calibrated else replace(model.card, temperature=1.0)
    read = evaluation.reader(replace(model, card=card))(recall.pictures(model.sample, card.columns))
    found = [_apart(answer, expected) for answer, expected in zip(answers, recall.answers(read, card.classes), strict=True)]
    value, note = max(found)
    return Check("serving", NAME, value, None, TOLERANCE, least=False, rows=len(found), unit="nats", note=note)


def _apart(answer: bytes, expected: Mapping[str, float]) -> tuple[float, str]:
    """The greatest distance of a logarithm, and where."""
    said = _probabilities(answer)
    if said is None:  # endpoint.strict: TorchServe's handler says the label and nothing else
        label, wanted = answer.decode(errors="replace"), max(expected, key=expected.__getitem__)
        return (0.0 if label == wanted else inf), f"{label} instead of {wanted}, and no probabilities"
    return apart(said, expected)


def _probabilities(answer: bytes) -> dict[str, float] | None:
    try:
        document = json.loads(answer)
    except ValueError:
        return None
    return document["probabilities"] if isinstance(document, dict) else None
