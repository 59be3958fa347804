"""How one fitted network did, with the pictures that show it: what the report knows of a fit. Judges nothing."""

from demlopment import training
from demlopment.intervals import wilson
from demlopment.lifecycle.collect import Collected
from demlopment.lifecycle.story import Fit
from demlopment.records import Examples
from demlopment.training.contacts import contact_sheet


def portrait(title: str, purpose: str, fitted: training.Fitted, train: Examples, collected: Collected, seed: int) -> Fit:
    """The fit to `train` as it did on the test part. Raises DataError if that has no example."""
    scores = training.evaluate(title, fitted, collected.split.test)
    return Fit(
        title=title,
        purpose=purpose,
        examples=len(train),
        seconds=fitted.seconds,
        curve=fitted.curve,
        scores=scores,
        interval=wilson(int(scores.correct.sum()), len(scores.labels)),
        sheet=contact_sheet(train, seed),
    )
