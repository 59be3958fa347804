"""An answer without what may differ from one run to the next, and the views in which two answers are compared."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tests.torchserve.exchange import Answer

# exact: every byte. kinds: the different answers to equal requests, however many. openapi: which operations there are.
# Ours may describe more.
# metrics: families and labels, see _metrics. families: only their names.
View = Literal["exact", "kinds", "openapi", "metrics", "families"]
Seen = dict[str, Any]  # an answer as it is recorded: status, headers, body

VOLATILE = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b"), "<uuid4>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r'"id": "\d+"'), '"id": "<worker>"'),
    (re.compile(r'"pid": \d+'), '"pid": <pid>'),
    (re.compile(r'"memoryUsage": \d+'), '"memoryUsage": <bytes>'),
    (re.compile(r'"startTime": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"'), '"startTime": "<time>"'),
    (re.compile(r'ostname="[^"]*"'), 'ostname="<host>"'),
    (re.compile(r'WorkerName="W-\d+-'), 'WorkerName="W-<worker>-'),
)
# Of an answer as JSON: its last digits are another processor's.
PROBABILITY = re.compile(r'(?<="[0-9]": )[0-9][0-9.e-]*|(?<="confidence": )[0-9][0-9.e-]*')
# What nearly every answer of TorchServe carries; recorded as one word.
USUAL = {
    "pragma": "no-cache",
    "cache-control": "no-cache; no-store, must-revalidate, private",
    "expires": "Thu, 01 Jan 1970 00:00:00 UTC",
    "x-request-id": "<uuid4>",
    "content-length": "<right>",
}
# Every answer of ours may carry these beside TorchServe's.
OURS = {"x-model-version", "x-arm", "vary", "allow"}
ANY = "<any>"  # in a body that the table states: anything
METRICS_OF = "metered"  # samples of other models are left over from other scenarios
COUNTED = "ts_inference_requests_total"  # the one family whose values a scenario knows


def seen(answer: Answer, view: View = "exact") -> Seen:
    """What is recorded of an answer."""
    if answer.broken:
        return {"broken": answer.broken}
    headers = {name.lower(): _stable(value) for name, value in answer.headers}
    for name in ("date", "server"):
        headers.pop(name, None)
    if headers.get("content-length") == str(len(answer.body)):
        headers["content-length"] = "<right>"
    elif not answer.body and "content-length" in headers:  # to HEAD
        headers["content-length"] = "<something>"
    if headers.items() >= USUAL.items():
        headers = {name: value for name, value in headers.items() if name not in USUAL} | {"usual": "all"}
    return {"status": answer.status, "phrase": answer.phrase, "headers": headers, "body": _body(answer.text, view)}


def kinds(answers: Sequence[Seen]) -> list[Seen]:
    """The different ones, in a fixed order."""
    return [json.loads(text) for text in sorted({json.dumps(each, sort_keys=True) for each in answers})]


def differences(theirs: Seen, ours: Seen, view: View = "exact") -> list[str]:
    """What a client of TorchServe would notice, one line each."""
    if "broken" in theirs or "broken" in ours:
        return [] if theirs == ours else [f"connection: {theirs} against {ours}"]
    found = [] if theirs["status"] == ours["status"] else [f"status: {theirs['status']} against {ours['status']}"]
    their_headers, our_headers = _spelt_out(theirs["headers"]), _spelt_out(ours["headers"])
    for name in sorted(their_headers.keys() | our_headers.keys()):
        left, right = their_headers.get(name), our_headers.get(name)
        if left == right or (left is None and name in OURS):
            continue
        found.append(f"header {name}: {left!r} against {right!r}")
    return found + _body_differences(theirs["body"], ours["body"], view)


def _spelt_out(headers: Mapping[str, str]) -> dict[str, str]:
    usual = USUAL if "usual" in headers else {}
    return {**usual, **{name: value for name, value in headers.items() if name != "usual"}}


def _stable(text: str) -> str:
    for pattern, name in VOLATILE:
        text = pattern.sub(name, text)
    return PROBABILITY.sub(lambda number: f"{float(number[0]):.4f}", text)


def _body(text: str, view: View) -> Any:
    if view == "openapi":
        return _operations(text)
    if view == "families":
        return sorted(_metrics(text))
    return _metrics(text) if view == "metrics" else _stable(text)


def _operations(text: str) -> Any:
    """Title, version and `METHOD path` of everything that an OpenAPI document describes."""
    try:
        document = json.loads(text)
    except ValueError:
        return text
    operations = [f"{verb.upper()} {path}" for path, verbs in document.get("paths", {}).items() for verb in verbs]
    return {"openapi": document.get("openapi"), "info": document.get("info"), "operations": sorted(operations)}


def _metrics(text: str) -> dict[str, list[str]]:
    """Lines of each family; a value only where it is known, and no sample of another scenario's model."""
    families: dict[str, list[str]] = {}
    for line in text.splitlines():
        name = line.split()[2] if line.startswith("# ") else line.partition("{")[0].partition(" ")[0]
        model = re.search(r'(?:model_name|ModelName|WorkerName)="([^"]*)"', line)
        if model and METRICS_OF not in model[1]:
            continue
        if not line.startswith("#") and name != COUNTED:
            line = line.rpartition(" ")[0] + " <n>"
        families.setdefault(name, []).append(_stable(line))
    return {name: lines[:2] + sorted(lines[2:]) for name, lines in sorted(families.items())}


def _body_differences(theirs: Any, ours: Any, view: View) -> list[str]:
    if view == "openapi" and isinstance(theirs, dict) and isinstance(ours, dict):
        lacking = sorted(set(theirs["operations"]) - set(ours["operations"]))
        found = [f"operations: {lacking} are missing"] if lacking else []
        about = [key for key in ("openapi", "info") if theirs[key] is not None and theirs[key] != ours[key]]
        return found + [f"{key}: {theirs[key]} against {ours[key]}" for key in about]
    if view == "metrics" and isinstance(theirs, dict) and isinstance(ours, dict):
        return [f"family {name}: {lines} against {ours.get(name)}" for name, lines in theirs.items() if ours.get(name) != lines]
    if view == "families" and isinstance(theirs, list) and isinstance(ours, list):
        lacking = sorted(set(theirs) - set(ours))
        return [f"families: {lacking} are missing"] if lacking else []
    if isinstance(theirs, str) and isinstance(ours, str) and ANY in theirs:
        pattern = ".*".join(re.escape(part) for part in theirs.split(ANY))
        return [] if re.fullmatch(pattern, ours, re.DOTALL) else [f"body: {theirs!r} against {ours!r}"]
    return [] if theirs == ours else [f"body: {theirs!r} against {ours!r}"]


def laid_over(theirs: Seen, change: Mapping[str, Any]) -> Seen:
    """What we answer instead: TorchServe's answer with the status, headers, body or words of a body that `change` gives.

    A header that is None is absent; `words` maps TorchServe's words to ours; `without` are operations that ours has not,
    under a title of its own.
    """
    headers = {**_spelt_out(theirs["headers"]), **change.get("headers", {})}
    body = change.get("body", theirs["body"])
    for old, new in change.get("words", {}).items():
        assert old in body, f"TorchServe does not say {old!r}"
        body = body.replace(old, new)
    if "without" in change:
        body = {**body, "info": None, "operations": [each for each in body["operations"] if each not in change["without"]]}
    kept = {name: value for name, value in headers.items() if value is not None}
    return {**theirs, "status": change.get("status", theirs["status"]), "headers": kept, "body": body}


def error(code: int, kind: str, message: str, **headers: str) -> dict[str, Any]:
    """An error of ours, as it is recorded."""
    named = {"content-type": "application/json", "connection": "close"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps({"code": code, "type": kind, "message": message}, indent=2, ensure_ascii=False) + "\n"
    return {"status": code, "headers": named, "body": body}


def success(body: str, content_type: str | None = "application/json") -> dict[str, Any]:
    """A good answer of ours, as it is recorded."""
    return {"status": 200, "headers": {"content-type": content_type, "connection": "keep-alive"}, "body": body}


NO_SUCH_PATH = error(404, "ResourceNotFoundException", "Requested resource is not found, please refer to API document.")
