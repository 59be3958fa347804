"""Which requests of production a person is asked to label. Composes journal, lake, archives and the ranking; labels none."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from demlopment import archive, serving
from demlopment.data import Answers, Lake
from demlopment.data.asked import COLUMNS, keys
from demlopment.data.ranking import Pick, Pool, doubt, picks
from demlopment.data.sources import FEEDBACK
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.lifecycle.compact import everything
from demlopment.lifecycle.store import archives
from demlopment.lifecycle.strangeness import strangeness
from demlopment.records import Prediction
from demlopment.serving.recorded import Recorded


@dataclass(frozen=True)
class Asking:
    """What came of one time of asking."""

    why: Mapping[str, int]  # requests that are asked about, by what spoke for them
    open: int  # requests without a label that they were picked from


def ask(
    home: Home,
    lake: Lake,
    model: str,
    count: int,
    by_chance: float,
    *,
    since: float,
    now: float,
    rng: np.random.Generator,
) -> Asking:
    """Queue up to `count` requests of a model since a time (seconds since 1970), the share `by_chance` of them drawn.

    Asked about are requests whose picture was kept and shows something, that have no label, and whose picture no example
    shows and nobody was asked about. Those that waited in quarantine for a label wait in the queue from then on.
    Cut off anywhere it is simply repeated. Raises DataError where there are none.
    """
    recorded = everything(home, Answers(home.lake), since)
    told = [each for each in recorded.predictions if each.model == model]
    open_, named = _open(lake, told, recorded)
    pool = Pool(
        np.stack([each.image for each in open_ if each.image is not None]),
        _unsure(open_),
        _differing(open_, told, recorded.shadows),
        _strange(home, open_),
    )
    found = picks(pool, count, by_chance, rng)
    lake.asked.add(_rows(open_, named, found, now))
    # Also those of earlier times: whoever was killed here has asked, and left them in both places.
    asked = lake.asked.all()["request_id"].to_list()
    unlabelled = pl.col("label").is_null() & pl.col("origin").is_in(asked)
    lake.bad.drop((pl.col("source") == FEEDBACK) & unlabelled)
    return Asking(Counter(each.why for each in found), len(open_))


def _open(lake: Lake, told: Sequence[Prediction], recorded: Recorded) -> tuple[list[Prediction], list[str]]:
    """Those that could be asked about, with the keys of their pictures. Raises DataError where there are none."""
    times = Counter(each.request_id for each in told)
    labelled = serving.join(told, recorded.feedback).labels
    shown = [each for each in told if each.image is not None]
    unlabelled = [each for each in shown if each.request_id not in labelled and times[each.request_id] == 1]
    named = keys([each.image.tobytes() for each in unlabelled if each.image is not None])
    held = lake.now(pl.col("key").is_in(named), ("key",))["key"]
    known = {"", *held, *lake.reviews.standing()["key"], *lake.asked.all()["key"]}
    found = [(each, key) for each, key in zip(unlabelled, named, strict=True) if key not in known]
    if not found:
        raise DataError(
            f"Of {len(told)} requests there is none to ask about: the picture of {len(told) - len(shown)} was not kept, "
            f"{len(shown) - len(unlabelled)} have a label, and {len(unlabelled)} show nothing, or what was labelled or asked.",
            "Wait for more requests, look further back with --days, or raise endpoint.journal_images.",
        )
    return [each for each, _ in found], [key for _, key in found]


def _unsure(asked: Sequence[Prediction]) -> npt.NDArray[np.float64]:
    """0 of what a Python handler answered, which does not say."""
    found = [float(doubt(each.probabilities[None])[0]) if len(each.probabilities) > 1 else 0.0 for each in asked]
    return np.array(found, np.float64)


def _differing(
    asked: Sequence[Prediction], told: Sequence[Prediction], shadows: Sequence[Prediction]
) -> npt.NDArray[np.float64]:
    """The share of other versions' answers, to the same request or the same picture, that say something else."""
    theirs: dict[str, list[Prediction]] = {}
    for each in shadows:
        theirs.setdefault(each.request_id, []).append(each)
    for each in told:
        theirs.setdefault(each.digest, []).append(each)
    shares = []
    for each in asked:
        others = [other for other in theirs.get(each.request_id, []) + theirs[each.digest] if other.version != each.version]
        shares.append(sum(other.label != each.label for other in others) / max(1, len(others)))
    return np.array(shares, np.float64)


def _strange(home: Home, asked: Sequence[Prediction]) -> npt.NDArray[np.float64]:
    """Beside the profile of the model that answered; 0 where the store has no archive of it."""
    found = np.zeros(len(asked))
    for path, card in archives(home):
        rows = [row for row, each in enumerate(asked) if (each.model, each.version) == (card.name, card.version)]
        reference = archive.read(path).reference if rows else {}
        if reference:
            found[rows] = strangeness(reference, [asked[row] for row in rows])
    return found


def _rows(asked: Sequence[Prediction], named: Sequence[str], found: Sequence[Pick], now: float) -> pl.DataFrame:
    rows = []
    for place, pick in enumerate(found):
        each = asked[pick.row]
        assert each.image is not None, "only what was kept is asked about"
        picture = (named[pick.row], each.image.tobytes(), each.label, each.model, each.version)
        rows.append((each.request_id, *picture, pick.why, pick.score, pick.chance, place, now))
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")
