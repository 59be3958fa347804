"""Labels that come after their answers. Knows what a label may be and the journal; knows no path and no prediction."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from demlopment.errors import NotReadyError, RequestError
from demlopment.records import Feedback
from demlopment.serving.engine import Engine
from demlopment.serving.foreign import MAX_LABEL
from demlopment.serving.http import wire
from demlopment.serving.http.wire import Answer
from demlopment.serving.journal import Journal
from demlopment.serving.tally import Tally

ANSWERED_ID = re.compile(r"[\x21-\x7e]{1,132}")  # a request id, with the number of a row behind it where there were several


@dataclass(eq=False)
class Truth:
    """The feedback that one serving process is sent."""

    engine: Engine
    journal: Journal
    tally: Tally
    now: Callable[[], float]

    def record(self, body: bytes) -> Answer:
        """Keep the label in `body`. Raises RequestError for what is none, NotReadyError if the journal refuses it."""
        feedback = self._read(body)
        try:
            self.journal.record(feedback=[feedback])
        except NotReadyError:
            self.tally.add("demlopment_journal_refused_total")
            raise
        self.tally.add("demlopment_feedback_total")
        self.tally.gauge("demlopment_label_timestamp_seconds", value=feedback.at)
        for watch in self.engine.watches:
            watch.learn(feedback)
        return wire.sentence("Feedback recorded")

    def _read(self, body: bytes) -> Feedback:
        values = wire.json_object(body)
        unknown = sorted(set(values) - {"request_id", "label"})
        if unknown:
            raise RequestError(f"Feedback has no field {unknown[0]!r}.", "Send request_id and label.")
        request_id, label = values.get("request_id"), values.get("label")
        if not isinstance(request_id, str) or not ANSWERED_ID.fullmatch(request_id):
            raise RequestError("Feedback needs a request_id.", "Send the x-request-id header that came with the prediction.")
        if not isinstance(label, str) or not 0 < len(label) <= MAX_LABEL or not label.isprintable():
            raise RequestError("Feedback needs a label.", f"Send the true class as 1 to {MAX_LABEL} printable characters.")
        self._check_class(label)
        return Feedback(request_id, self.now(), label)

    def _check_class(self, label: str) -> None:
        """A label that no served network knows is a mistake, unless there are handlers, whose classes nobody knows."""
        versions = (version for model in self.engine.models.values() for version in model.versions.values())
        if any(version.kind != "onnx" for version in versions):
            return
        classes = {name for network in self.engine.networks for name in network.classes}
        if classes and label not in classes:
            raise RequestError(f"The label {label!r} is no class of a served model.", f"Send one of {sorted(classes)}.")
