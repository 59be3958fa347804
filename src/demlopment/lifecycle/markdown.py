"""A model card's JSON values as Markdown: every number of one stands in the other. Knows no model."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

UNKNOWN = "unknown"
STEERING = re.compile(r"([\\`*_{}\[\]<>#|~])")  # what Markdown would not take for itself


def markdown(card: Mapping[str, Any]) -> str:
    """The card as a page, whose first heading is the model."""
    sections = (
        (f"# Model card of {_text(card['model']['title'])}", _opening(card)),
        ("## What it is for", [*_listed(card["use"]["for"]), "", "Not for:", "", *_listed(card["use"]["not_for"])]),
        ("## Limits", _listed(card["limits"])),
        ("## Decision of the gate", _decision(card)),
        ("## What it learned from", _data(card["data"])),
        ("## Results", _results(card)),
        ("## How it was made", _made(card)),
    )
    return "\n\n".join("\n".join([heading, "", *lines]) for heading, lines in sections) + "\n"


def _opening(card: Mapping[str, Any]) -> list[str]:
    model = card["model"]
    facts = {name.replace("_", " "): value for name, value in model.items() if name != "title"}
    return _table(("what", "value"), [*facts.items(), ("format of this card", card["format"])])


def _decision(card: Mapping[str, Any]) -> list[str]:
    decision = card["decision"]
    against = f", compared with {_text(decision['against'])}" if decision["against"] else ""
    missed = ["", "Bounds that it misses:", "", *_listed(decision["missed"])] if decision["missed"] else []
    return [f"**{_text(decision['decision'])}**{against}. {_text(decision['reason'])}", *missed]


def _data(data: Mapping[str, Any]) -> list[str]:
    parts = data["rows"]
    classes = [(name, *(rows[part] for part in parts)) for name, rows in data["rows_per_class"].items()]
    return [
        *_table(
            ("what", "value"),
            [
                *((name.replace("_", " "), data[name]) for name in ("snapshot", "digest", "salt", "learned_from")),
                ("rows forgotten since", data.get("forgotten", 0)),  # cards of earlier releases do not say
            ],
        ),
        "",
        *_table(("source", "licence", "rows"), [(each["source"], each["licence"], each["rows"]) for each in data["sources"]]),
        "",
        *_table(("class", *parts), [*classes, ("all", *parts.values())]),
    ]


def _results(card: Mapping[str, Any]) -> list[str]:
    promise = card["promise"]
    promised = (
        f"Fields are read without a human only as far as it is proved that a share of {_text(promise['accuracy'])} of them is "
        f"right; that is false with a chance of {_text(promise['risk'])} at most, if fields are drawn as the rows were."
    )
    lines = [promised]
    for group in dict.fromkeys(each["group"] for each in card["results"]):
        rows = [_result(each) for each in card["results"] if each["group"] == group]
        columns = ("check", "value", "from", "to", "confidence", "bound", "rows", "outcome", "note")
        lines += ["", f"### {_text(group)}", "", *_table(columns, rows)]
    return lines


def _result(check: Mapping[str, Any]) -> tuple[Any, ...]:
    interval = check["interval"] or {"low": "", "high": "", "confidence": ""}
    bound = "" if check["bound"] is None else f"{'at least' if check['least'] else 'at most'} {check['bound']}"
    outcome = "missed" if not check["met"] else "told" if check["bound"] is None else "kept"
    value = f"{UNKNOWN if check['value'] is None else check['value']} {check['unit']}".strip()
    ends = (interval["low"], interval["high"], interval["confidence"])
    return check["name"], value, *ends, bound, check["rows"], outcome, check["note"]


def _made(card: Mapping[str, Any]) -> list[str]:
    code, training = card["code"], card["training"]
    edited = {True: "yes", False: "no", None: UNKNOWN}[code["edited"]]
    facts = [("commit", code["commit"]), ("code edited after it", edited), *code["environment"].items()]
    recipe = [(name.replace("_", " "), value) for name, value in training["recipe"].items()]
    return [
        *_table(("what", "value"), [*recipe, ("seconds of the fit", training["seconds"]), *facts]),
        "",
        f"To make it once more: `{card['reproduce']}`",
    ]


def _table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    heading = [_text(column) for column in columns]
    lines = [heading, ["---"] * len(heading), *([_text(cell) for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _listed(texts: Iterable[str]) -> list[str]:
    return [f"- {_text(text)}" for text in texts] or ["- none"]


def _text(value: Any) -> str:
    """One line in which nothing steers Markdown: names of sources and classes are somebody's."""
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return STEERING.sub(r"\\\1", " ".join(str(UNKNOWN if value is None else value).split()))
