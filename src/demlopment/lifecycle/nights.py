"""The loop in memory, turned every night as far as it can be: as turn.py does, by the same functions, without a home.

Each night somebody looks; a turn that waits for traffic or labels goes on the next night.
"""

from typing import Literal

from demlopment.lifecycle import stages
from demlopment.lifecycle.condition import Reign, condition
from demlopment.lifecycle.judging import Judging
from demlopment.lifecycle.life import MODEL, Life, Made, gate
from demlopment.lifecycle.past import past
from demlopment.lifecycle.stages import Found, Pair
from demlopment.lifecycle.triggers import decide
from demlopment.lifecycle.worth import Prices
from demlopment.records import Decision, Verdict


class Nights:
    """One turn after the other."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.stage: Literal["idle", "shadow", "canary", "split"] = "idle"
        self.candidate = life.champion
        self.promising = False

    def turn(self, at: float) -> None:
        """Look, decide, and go on with what is running."""
        if self.stage == "idle":
            self._look(at)
        while self.stage != "idle":
            found = self._found(at)
            if found.next == "wait":
                return
            if found.verdict is not None:
                self.life.record(found.verdict, at)
            self.promising = self.promising or found.promising
            if found.next == "stop":
                self._end(found.ending, found.sentence, at)
            elif self.stage == "split":
                self._crown(self.candidate, found.sentence, at)
            else:
                self.stage = "canary" if self.stage == "shadow" else "split"

    def _look(self, at: float) -> None:
        life = self.life
        before = None if life.before is None else life.before.archive
        found = condition(
            Reign(life.champion.archive, life.live, life.live, before),
            life.arena.traffic(0.0),
            life.settings,
            at,
            new_labels=lambda: len(life.known) - life.champion.labels,
            examination=lambda: life.champion.scores,
        )
        verdict = decide(found, past(life.entries), life.settings.retraining, Prices.of(life.settings))
        if verdict.decision != "wait":
            life.record(verdict, at)
        if verdict.decision == "ask for labels":
            life.ask(at)
        if verdict.decision == "roll back" and life.before is not None:
            self._crown(life.before, verdict.reason, at)
        if verdict.decision == "retrain":
            self._fit(at)

    def _fit(self, at: float) -> None:
        self.candidate, self.promising = self.life.retrained(), False
        verdict = gate(self.candidate, self.life.champion, self.life.settings)
        self.life.record(verdict, at)
        if verdict.decision != "promote":
            self._end("refuse", verdict.reason, at)
            return
        self.life.arena.models[self.candidate.version] = self.candidate.archive
        self.stage = "shadow"

    def _found(self, at: float) -> Found:
        life, version = self.life, self.candidate.version
        pair, rules = Pair(MODEL, life.champion.version, version, f"turn-{version}"), life.settings.retraining
        if self.stage == "shadow":
            return stages.shadow(pair, life.arena, Judging(), rules, at)
        if self.stage == "canary":
            return stages.canary(pair, life.arena, rules, at, 0)
        return stages.split(pair, life.arena, Judging(), rules, at, promising=self.promising)

    def _crown(self, made: Made, because: str, at: float) -> None:
        former = self.life.champion.title
        self.life.crown(made, at)
        self.life.record(Verdict("retraining", "promote", made.title, former, because, {}), at)
        self.stage = "idle"

    def _end(self, ending: Decision, because: str, at: float) -> None:
        self.life.arena.hand_over(self.life.champion.version)
        self.life.record(Verdict("retraining", ending, self.candidate.title, self.life.champion.title, because, {}), at)
        self.stage = "idle"
