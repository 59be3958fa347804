"""May a candidate replace the champion? Paired evidence in, a verdict out. Knows nothing of networks, files or traffic."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.special import bdtrc

from demlopment import settings
from demlopment.errors import DataError
from demlopment.intervals import paired_difference, wilson
from demlopment.records import Check, Decision, Interval, Scores, Verdict


def judge(candidate: Scores, champion: Scores | None, rules: settings.Gate) -> Verdict:
    """Promote the candidate if the same rows show that it is right more often than the champion, and refuse it otherwise.

    With a champion, an exact one-sided McNemar test at level `rules.alpha` decides: a candidate that is no better is
    promoted with at most that probability. Without one there is nothing to compare with, and the lower end of the
    accuracy's interval must reach `rules.minimum_accuracy`.
    Raises DataError unless both were scored on the same rows, in the same order, with the same labels.
    """
    if len(candidate.labels) == 0:
        raise DataError(f"{candidate.model} was scored on no rows.", "Score it on the test part.")
    return _first(candidate, rules) if champion is None else _compared(candidate, champion, rules)


def held_to(verdict: Verdict, checks: Sequence[Check]) -> Verdict:
    """The verdict with every check as evidence, and a refusal if one of them misses its bound.

    Raises DataError without a check: nothing passes because it was skipped.
    """
    if not checks:
        raise DataError(f"{verdict.subject} was tested for nothing.", "Examine it on the test part.")
    missed = [check for check in checks if not check.met]
    evidence = {**verdict.evidence, "missed": [check.name for check in missed], "checks": [_told(check) for check in checks]}
    if not missed:
        return replace(verdict, evidence=evidence)
    first, more = missed[0], f", and {len(missed) - 1} more bounds" if len(missed) > 1 else ""
    reason = f"{verdict.reason} It misses the bound of {first.name} ({_measured(first)}){more}."
    return replace(verdict, decision="refuse", reason=reason, evidence=evidence)


def mcnemar(better: int, worse: int) -> float:
    """Chance of at least `better` of the discordant rows in favour of the candidate if both models were equally good.

    Exact and one-sided: the rows that only one model gets right fall to either side like a fair coin.
    Source   Q. McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 12
             (1947), 153-157, with the binomial law instead of its approximation.

    >>> mcnemar(5, 0)
    0.03125
    """
    return float(bdtrc(better - 1, better + worse, 0.5)) if better else 1.0


def rows_needed(better: int, worse: int, rows: int, alpha: float, power: float = 0.8) -> int | None:
    """How many rows a one-sided McNemar test takes to see such a difference with that power; None where there is none.

    Source   R. Connor, "Sample size for testing differences in proportions for the paired-sample design", Biometrics 43
             (1987), 207-211.

    >>> rows_needed(12, 8, 730, alpha=0.05)
    5640
    """
    if better <= worse:
        return None
    differ, difference = (better + worse) / rows, (better - worse) / rows
    sure, able = NormalDist().inv_cdf(1 - alpha), NormalDist().inv_cdf(power)
    return ceil(((sure * sqrt(differ) + able * sqrt(differ - difference**2)) / difference) ** 2)


def _first(candidate: Scores, rules: settings.Gate) -> Verdict:
    n, right = len(candidate.labels), int(candidate.correct.sum())
    interval = wilson(right, n)
    promoted = interval.low >= rules.minimum_accuracy
    reason = (
        f"There is no champion, and {candidate.model} is right on {right} of {n} test rows: at least {interval.low:.1%} "
        f"with {interval.confidence:.0%} confidence, {'which reaches' if promoted else 'and not'} "
        f"the required {rules.minimum_accuracy:.1%}."
    )
    evidence = {
        "n": n,
        "candidate_right": right,
        "candidate_accuracy": right / n,
        "candidate_interval": _as_json(interval),
        "minimum_accuracy": rules.minimum_accuracy,
    }
    return _verdict(candidate, "", promoted, reason, evidence)


def _compared(candidate: Scores, champion: Scores, rules: settings.Gate) -> Verdict:
    _refuse_other_rows(candidate, champion)
    n, ours, theirs = len(candidate.labels), candidate.correct, champion.correct
    better, worse = int((ours & ~theirs).sum()), int((~ours & theirs).sum())
    p_value = mcnemar(better, worse)
    promoted = p_value < rules.alpha
    difference = paired_difference(better, worse, n)
    reason = (
        f"{candidate.model} is right on {ours.sum()} of {n} test rows and {champion.model} on {theirs.sum()}: "
        f"{better} rows only the candidate gets right, {worse} only the champion, "
        f"p = {_shown(p_value)} {'<' if promoted else 'where below'} {rules.alpha:g} "
        f"{'is evidence that it is better' if promoted else 'would be evidence that it is better'}."
    )
    needed = rows_needed(better, worse, n, rules.alpha)
    if not promoted and needed is not None and needed > n:
        reason += f" If it is better by as much as it seems, about {needed} rows would show it."
    evidence = {
        "n": n,
        "both_right": int((ours & theirs).sum()),
        "only_candidate_right": better,
        "only_champion_right": worse,
        "both_wrong": int((~ours & ~theirs).sum()),
        "p_value": p_value,
        "alpha": rules.alpha,
        "rows_needed": needed,
        "candidate_accuracy": candidate.accuracy,
        "candidate_interval": _as_json(wilson(int(ours.sum()), n)),
        "champion_accuracy": champion.accuracy,
        "champion_interval": _as_json(wilson(int(theirs.sum()), n)),
        "difference": (better - worse) / n,
        "difference_interval": _as_json(difference),
    }
    return _verdict(candidate, champion.model, promoted, reason, evidence)


def _verdict(candidate: Scores, against: str, promoted: bool, reason: str, evidence: dict[str, Any]) -> Verdict:  # noqa: FBT001
    decision: Decision = "promote" if promoted else "refuse"
    return Verdict("gate", decision, candidate.model, against, reason, evidence)


def _refuse_other_rows(candidate: Scores, champion: Scores) -> None:
    for what, ours, theirs in (("rows", candidate.keys, champion.keys), ("labels", candidate.labels, champion.labels)):
        if not np.array_equal(ours, theirs):
            raise DataError(
                f"{candidate.model} and {champion.model} were scored on different {what} ({len(ours)} and {len(theirs)}).",
                "Score both on the same test part.",
            )


def _as_json(interval: Interval) -> dict[str, float]:
    return {"low": interval.low, "high": interval.high, "confidence": interval.confidence}


def _measured(check: Check) -> str:
    """Its value beside its bound, in words."""
    between = "" if check.interval is None else f", {check.interval.low:.4g} to {check.interval.high:.4g}"
    bound = "a number" if check.bound is None else f"{'at least' if check.least else 'at most'} {check.bound:g}"
    note = f"; {check.note}" if check.note else ""
    return f"{check.value:.4g} {check.unit}".strip() + f"{between} on {check.rows} rows, and it must be {bound}{note}"


def _told(check: Check) -> dict[str, Any]:
    told = {"group": check.group, "name": check.name, "value": check.value, "rows": check.rows, "met": check.met}
    interval = {} if check.interval is None else {"interval": [check.interval.low, check.interval.high]}
    bound = {} if check.bound is None else {"least" if check.least else "most": check.bound}
    note = {"note": check.note} if check.note else {}
    return told | interval | bound | note


def _shown(p_value: float) -> str:
    return f"{p_value:.1e}" if p_value < 0.001 else f"{p_value:.3f}"
