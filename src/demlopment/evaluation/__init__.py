"""A model is tested like code: what it must read, what it must refuse, and by how much, each with an interval and a bound.

Knows a model only as it is served, never how it was made.
"""

from demlopment.evaluation.behaviour import behaviour
from demlopment.evaluation.comparison import non_inferiority
from demlopment.evaluation.examination import examine
from demlopment.evaluation.held_out import evaluate_archive
from demlopment.evaluation.reader import Answers, Reader, answerer, reader
from demlopment.evaluation.robustness import robustness
from demlopment.evaluation.slices import slices

__all__ = [
    "Answers",
    "Reader",
    "answerer",
    "behaviour",
    "evaluate_archive",
    "examine",
    "non_inferiority",
    "reader",
    "robustness",
    "slices",
]
