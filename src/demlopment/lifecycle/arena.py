"""An endpoint in memory: answers, splits, shadows, ramps and watches canaries, by the same functions as the one that serves.

A floor for stages.py. It has no HTTP, no processes and no journal, and its clock is that of the requests.
"""

from dataclasses import replace

import numpy as np

from demlopment.archive import Archive
from demlopment.evaluation import Answers, answerer
from demlopment.lifecycle.eras import Rows, Stream
from demlopment.lifecycle.observe import Traffic
from demlopment.records import Feedback, Prediction, TrafficPlan
from demlopment.serving import canaries
from demlopment.serving.guardrails import Breach, Watch
from demlopment.serving.traffic import Assigned, Split


class Arena:
    """What a stream of requests meets."""

    def __init__(self, stream: Stream, champion: Archive) -> None:
        self.stream = stream
        self.models = {champion.card.version: champion}
        self.default = champion.card.version
        self.predictions: list[Prediction] = []
        self.shadows: list[Prediction] = []
        self.feedback: list[Feedback] = []
        self.truth: dict[str, str] = {}
        self.known: list[int] = []  # requests whose label is there, in the order in which they came
        self._plan: TrafficPlan | None = None
        self._watch: Watch | None = None
        self._step: tuple[float, int] = (0.0, 0)  # when the canary's step began, and what it had answered then
        self._waiting = np.argsort(stream.label_at, kind="stable").tolist()[::-1]
        self._plans, self._now = 0, 0.0

    def plan(self) -> TrafficPlan | None:
        return self._plan

    def split(self, plan: TrafficPlan, replaces: int) -> None:
        assert replaces == (0 if self._plan is None else self._plan.number), "one turn at a time"
        self._plans += 1
        begun = canaries.begun(plan) if plan.canary else plan
        self._plan = replace(begun, number=self._plans, since=self._now)
        self._step = self._now, 0
        model = self.models[plan.control].card
        self._watch = Watch(self._plan, {}, model.classes, 1, self._broken) if plan.canary else None

    def resume(self, number: int) -> None:
        raise AssertionError(f"nothing halts plan {number} in memory")

    def traffic(self, since: float) -> Traffic:
        answers, shadows = ([each for each in of if each.at >= since] for of in (self.predictions, self.shadows))
        return Traffic(answers, self.feedback, self.truth, shadows)

    def hand_over(self, version: str) -> None:
        """End the split, and send every request to that version."""
        self._plan, self._watch, self.default = None, None, version

    def answer(self, rows: Rows, until: float) -> None:
        """Meet these requests, in their order, and hear every label that comes until then."""
        stream = self.stream
        versions = {self.default} if self._plan is None else {self.default, *self._plan.versions}
        answers = {version: answerer(self.models[version])(stream.pictures[rows]) for version in versions}
        split = None
        for place, row in enumerate(rows.tolist()):
            at = float(stream.at[row])
            self._hear(at)
            if self._plan is not None and (split is None or split.plan != self._plan):
                split = Split(self._plan)
            chosen = split.assigned(stream.units[row]) if split else Assigned("direct", self.default)
            said = self._said(row, at, chosen, answers[chosen.version], place)
            self.predictions.append(said)
            for version in self._plan.shadows if self._plan else ():
                self.shadows.append(self._said(row, at, Assigned("shadow", version), answers[version], place))
            self._watched(said, at)
        self._hear(until)
        self._now = until

    def tell(self, row: int, at: float) -> None:
        """The label of a request comes, by itself or because somebody read it."""
        name, label = f"r{row}", self._label(row)
        if name in self.truth:
            return
        said = Feedback(name, at, label)
        self.feedback.append(said)
        self.truth[name] = label
        self.known.append(row)
        if self._watch is not None:
            self._watch.learn(said)

    def unlabelled(self, count: int) -> list[int]:
        """The latest requests whose label is not there."""
        latest = range(len(self.predictions) - 1, -1, -1)
        return [row for row in latest if f"r{row}" not in self.truth][:count]

    def _hear(self, until: float) -> None:
        while self._waiting and self.stream.label_at[self._waiting[-1]] <= until:
            row = self._waiting.pop()
            self.tell(row, float(self.stream.label_at[row]))

    def _label(self, row: int) -> str:
        return self.models[self.default].card.classes[int(self.stream.classes[row])]

    def _said(self, row: int, at: float, chosen: Assigned, answers: Answers, place: int) -> Prediction:
        card, (probabilities, embeddings) = self.models[chosen.version].card, answers
        label = card.classes[int(probabilities[place].argmax())]
        shown, key = self.stream.pictures[row], str(self.stream.keys[row])
        return Prediction(
            f"r{row}", at, card.name, chosen.version, chosen.arm, self.stream.units[row], shown,
            label, probabilities[place], embeddings[place], 1.0, key,
        )  # fmt: skip

    def _watched(self, said: Prediction, at: float) -> None:
        """The canary is watched, and moves on when it has stood long enough."""
        plan, watch = self._plan, self._watch
        if plan is None or plan.canary is None or watch is None or plan.canary.state not in canaries.SERVED:
            return
        watch.answer(said, said.latency_ms)
        began, before = self._step
        now = self._plan
        assert now is not None, "an answer ends no plan"
        assert now.canary is not None, "nor a canary"
        enough = at - began >= now.canary.dwell and watch.answered - before >= now.canary.requests
        if now.canary.state == "ramping" and enough:
            self._plan = replace(canaries.advanced(now), since=at)
            self._step = at, watch.answered

    def _broken(self, breach: Breach) -> None:
        assert self._plan is not None, "only a canary is watched"
        self._plan = canaries.rolled_back(self._plan, breach.reason)
