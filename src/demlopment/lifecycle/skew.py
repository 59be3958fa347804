"""Does an endpoint answer as the model that was judged? It is asked for two pictures, and every class's probability compared.

Composes the archive's own reading with answers over HTTP; knows no gate.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from math import inf, isfinite, log

import numpy as np

from demlopment import evaluation, images
from demlopment.archive import Archive
from demlopment.records import Check

# Of a logarithm: float32 in another order differs by 0.0001. Another picture, classes in another order, no temperature or
# another network move some class by far more, be it one of those that are least likely.
TOLERANCE = 0.001
FAINTEST = 1e-20  # a probability below it counts as it: the digits of float32 end near there
NAME = "the endpoint's answers beside the judged model's"


def asked(model: Archive) -> list[bytes]:
    """The archive's sample, and the same upside down: no class explains that one well, so the probabilities all differ."""
    return [model.sample, images.encode_png(np.ascontiguousarray(images.prepare(model.sample)[::-1, ::-1]))]


def skew(model: Archive, answers: Sequence[bytes]) -> Check:
    """How far the answers to `asked` are from what the archive says itself: of all pictures and classes the most, in nats."""
    card = model.card if model.card.answer.calibrated else replace(model.card, temperature=1.0)
    read = evaluation.reader(replace(model, card=card))(np.stack([images.prepare(each) for each in asked(model)]))
    found = [
        _apart(answer, dict(zip(card.classes, row.tolist(), strict=True))) for answer, row in zip(answers, read, strict=True)
    ]
    value, note = max(found)
    return Check("serving", NAME, value, None, TOLERANCE, least=False, rows=len(found), unit="nats", note=note)


def _apart(answer: bytes, expected: dict[str, float]) -> tuple[float, str]:
    """The greatest distance of a logarithm, and where."""
    said = _probabilities(answer)
    if said is None:  # endpoint.strict: TorchServe's handler says the label and nothing else
        label, wanted = answer.decode(errors="replace"), max(expected, key=expected.__getitem__)
        return (0.0 if label == wanted else inf), f"{label} instead of {wanted}, and no probabilities"
    strange = sorted(set(said) - set(expected))
    if strange or not said:
        return inf, f"classes that the model has not: {', '.join(strange) or 'none at all'}"
    if not all(map(isfinite, said.values())):
        return inf, "a probability that is not a number"
    return max(
        (abs(log(max(share, FAINTEST) / max(expected[name], FAINTEST))), f"{name}: {share:.3g} instead of {expected[name]:.3g}")
        for name, share in said.items()
    )


def _probabilities(answer: bytes) -> dict[str, float] | None:
    try:
        document = json.loads(answer)
    except ValueError:
        return None
    return document["probabilities"] if isinstance(document, dict) else None
