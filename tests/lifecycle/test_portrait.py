"""The pictures that a network read wrongly: of the most frequent confusions, the surest first."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from demlopment.lifecycle.portrait import MOST_MISTAKES, MOST_OF_ONE, mistakes
from demlopment.records import Examples, Scores
from demlopment.scores import scored

CLASSES = ("a", "b", "c")
answers = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.floats(0.4, 1)), min_size=1, max_size=80)


def made(rows: list[tuple[int, int, float]]) -> tuple[Scores, Examples]:
    """Answers (true, said, confidence), each for a picture that no other row has."""
    probabilities = np.array([[sure if i == said else (1 - sure) / 2 for i in range(3)] for _, said, sure in rows], np.float32)
    pictures = np.zeros((len(rows), 28, 28), np.uint8)
    pictures[:, 0, 0] = np.arange(len(rows))
    labels, names = np.array([true for true, _, _ in rows]), np.array([str(i) for i in range(len(rows))])
    examples = Examples(names, pictures, labels, np.full(len(rows), ""), np.full(len(rows), ""))
    return scored("digits 1.0", probabilities, examples), examples


@given(answers)
def test_each_is_a_picture_that_was_read_so(rows: list[tuple[int, int, float]]) -> None:
    scores, examples = made(rows)

    for sample in mistakes(scores, examples, CLASSES):
        row = int(sample.image[0, 0])
        assert (sample.true, sample.said) == (CLASSES[rows[row][0]], CLASSES[scores.predicted[row]])
        assert sample.true != sample.said
        assert sample.confidence == float(scores.probabilities[row].max())


@given(answers)
def test_they_are_the_surest_of_the_most_frequent_confusions(rows: list[tuple[int, int, float]]) -> None:
    scores, examples = made(rows)
    wrong = [(true, said) for true, said in zip(scores.labels.tolist(), scores.predicted.tolist(), strict=True) if true != said]

    shown = mistakes(scores, examples, CLASSES)

    counts, rest, expected = Counter(wrong), MOST_MISTAKES, Counter[int]()
    for _, times in counts.most_common():  # equal ones may change places, so only their numbers are compared
        taken = min(times, MOST_OF_ONE, rest)
        expected[taken] += 1
        rest -= taken
    found = Counter((CLASSES.index(each.true), CLASSES.index(each.said)) for each in shown)
    assert Counter(found.values()) == +Counter({n: times for n, times in expected.items() if n})
    for pair, number in found.items():
        sure = sorted((float(p.max()) for p, t, s in zip(scores.probabilities, scores.labels, scores.predicted, strict=True)
                       if (t, s) == pair), reverse=True)  # fmt: skip
        assert (
            sorted((s.confidence for s in shown if (s.true, s.said) == (CLASSES[pair[0]], CLASSES[pair[1]])), reverse=True)
            == sure[:number]
        )
    assert [each.confidence for each in shown] == sorted((each.confidence for each in shown), reverse=True)


def test_a_network_without_a_mistake_shows_none() -> None:
    assert mistakes(*made([(0, 0, 0.9), (1, 1, 0.8)]), CLASSES) == ()


def test_one_confusion_does_not_crowd_out_the_others() -> None:
    scores, examples = made([(0, 1, 0.9)] * 40 + [(2, 1, 0.6), (1, 0, 0.7), (1, 0, 0.8)])

    shown = mistakes(scores, examples, CLASSES)

    assert [(each.true, each.said, round(each.confidence, 2)) for each in shown] == [
        *[("a", "b", 0.9)] * MOST_OF_ONE,
        ("b", "a", 0.8),
        ("b", "a", 0.7),
        ("c", "b", 0.6),
    ]
