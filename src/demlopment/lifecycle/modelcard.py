"""The model card of one judged candidate: what it is for, what it learned from, how good it is, and what it cannot do.

Pure: records in, JSON values out, the same for the same records. Not the card inside an archive (`card.json`), which is for
machines that load it: this one is for the person who decides whether to use a model.
Source   M. Mitchell et al., "Model cards for model reporting", FAT* 2019, https://arxiv.org/abs/1810.03993
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from demlopment.archive import Archive
from demlopment.data.snapshots import Licensed
from demlopment.evaluation.behaviour import UNSURE
from demlopment.evaluation.slices import TOO_FEW
from demlopment.lifecycle import provenance
from demlopment.lifecycle.cards import FORMAT
from demlopment.records import Check, Examples, Split, Verdict
from demlopment.settings import Evaluation

DIGITS = 4  # of a measured number: its interval is wider than the rest
REFUSAL = "refusal: "  # how the names of such cases begin
HALF = 0.5  # of the pictures read wrongly: whoever has such pictures should not use it


@dataclass(frozen=True, eq=False)
class Judged:
    """Everything that a card is made from."""

    model: Archive
    parts: Split
    sources: Sequence[Licensed]  # of the snapshot
    seconds: float  # of the fit
    checks: Sequence[Check]
    rules: Evaluation  # what the checks were held to
    verdict: Verdict


def model_card(judged: Judged) -> dict[str, Any]:
    """The card as JSON values: no NaN, measured numbers with four digits."""
    card, lineage, verdict = judged.model.card, judged.model.card.lineage, judged.verdict
    commit, environment = lineage["commit"], dict(lineage["environment"])
    edited = environment.pop("edited")
    values = {
        "format": FORMAT,
        "model": {
            "title": card.title,
            "name": card.name,
            "version": card.version,
            "classes": list(card.classes),
            "network_sha256": hashlib.sha256(judged.model.network).hexdigest(),
            "network_bytes": len(judged.model.network),
            "preprocessing": card.preprocessing,
            "temperature": card.temperature,
        },
        "use": {"for": FOR, "not_for": NOT_FOR},
        "data": {
            "snapshot": lineage["snapshot"],
            "digest": lineage["digest"],
            "salt": lineage["salt"],
            "learned_from": lineage["examples"],
            "forgotten": 0,  # rows of the snapshot, since
            "sources": [asdict(each) for each in judged.sources],
            "rows": {part: len(getattr(judged.parts, part)) for part in PARTS},
            "rows_per_class": {
                name: _per_class([getattr(judged.parts, part) for part in PARTS], place)
                for place, name in enumerate(card.classes)
            },
        },
        "training": {"recipe": lineage["recipe"], "seconds": judged.seconds},
        "code": {"commit": commit, "edited": edited, "environment": environment},
        "promise": {"accuracy": judged.rules.accepted_accuracy, "risk": judged.rules.accepted_risk},
        "results": [_result(check) for check in judged.checks],
        "decision": {
            "decision": verdict.decision,
            "against": verdict.against,
            "reason": verdict.reason,
            "missed": list(verdict.evidence["missed"]),
        },
        "limits": list(limits(judged.checks, provenance.told(commit, edited=edited))),
        "reproduce": f"demlopment models reproduce {card.version}",
    }
    rounded: dict[str, Any] = _rounded(values)
    return rounded


PARTS = ("train", "validation", "test", "stream")
FOR = [
    "Reading one handwritten character of its classes from a picture that shows nothing else, dark on light or light on dark.",
    "Reading many such fields where a person looks at those that it is not sure of.",
]
NOT_FOR = [
    "Saying whether there is a character at all: it answers with one of its classes whatever it is shown.",
    "Whole words or pages, and characters that are none of its classes.",
    "Writing of people, pens or scanners that its sources do not have, before it was tested on some of theirs.",
    "Deciding about a person without somebody who can correct it.",
]


def limits(checks: Sequence[Check], code: str) -> list[str]:
    """What it fails, and what nobody knows, from the checks; `code` is a sentence about its code, or nothing."""
    found = [f"It misses the bound of {check.name}." for check in checks if not check.met]
    sure = [check for check in checks if check.name.startswith(REFUSAL) and not check.value <= UNSURE]
    found += [
        f"It is sure of what shows none of its classes, {check.name.removeprefix(REFUSAL)}: to {_said(check)} on average."
        for check in sure
    ]
    quiet = [check for check in checks if check.name.startswith(REFUSAL) and check.bound is None and check not in sure]
    found += [f"Nothing holds it to being unsure of {check.name.removeprefix(REFUSAL)} ({_said(check)})." for check in quiet]
    found += [
        f"It errs on a share of {_said(check)} of pictures with {check.name}."
        for check in checks
        if check.group == "robustness" and check.value > HALF
    ]
    slices = [check for check in checks if check.group == "slices" and " against " not in check.name]
    known = [check for check in slices if check.note != TOO_FEW]
    found += [f"It is worst in {check.name}: {_said(check)} of {check.rows} rows are right." for check in known[:1]]
    few = [check.name for check in slices if check.note == TOO_FEW]
    found += [f"Too few rows tell how it reads: {', '.join(few)}."] if few else []
    found += [f"{check.name}: {check.note}." for check in checks if check.note.startswith("nothing is proved")]
    return [*found, *([code] if code else [])]


def _per_class(parts: Sequence[Examples], place: int) -> dict[str, int]:
    return {name: int((part.labels == place).sum()) for name, part in zip(PARTS, parts, strict=True)}


def _result(check: Check) -> dict[str, Any]:
    return {**asdict(check), "met": check.met}


def _said(check: Check) -> str:
    return str(_rounded(check.value))


def _rounded(value: Any) -> Any:
    """Numbers with as many digits as they are known to; what is no number as null, which is all that JSON has for it."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value
