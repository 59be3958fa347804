"""What came back from production, as a source. Composes the journal, the lake and the model store, and adds nothing."""

from collections.abc import Collection, Iterable, Mapping

from demlopment import serving
from demlopment.data import Answers, RawRows, returned
from demlopment.home import Home
from demlopment.lifecycle.compact import everything
from demlopment.lifecycle.store import archives
from demlopment.records import Prediction


def production(home: Home, asked: Collection[str] = ()) -> RawRows:
    """Every picture that was kept and whose label came back; and without a label those that their model was not sure of.

    Not sure is what the threshold on the model's card says. Such a row waits in quarantine until `asking.ask` takes it into
    the queue; the requests that are `asked` about wait there already.
    """
    recorded = everything(home, Answers(home.lake))
    least = {(card.name, card.version): card.answer.threshold for _, card in archives(home)}
    unsure = [
        each.request_id
        for each in recorded.predictions
        if each.probabilities.max(initial=0.0) < least.get((each.model, each.version), 0.0) and each.request_id not in asked
    ]
    truth = serving.join(recorded.predictions, recorded.feedback).labels
    return pictured(recorded.predictions, {**dict.fromkeys(unsure), **truth})


def pictured(predictions: Iterable[Prediction], labels: Mapping[str, str | None]) -> RawRows:
    """The pictures of those of the requests that were kept, with their labels; one that nobody knows is None."""
    kept = [(each.request_id, each.image) for each in predictions if each.request_id in labels and each.image is not None]
    asked = [request_id for request_id, _ in kept]
    return returned([image for _, image in kept], [labels[each] for each in asked], asked)
