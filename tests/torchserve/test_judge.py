"""The judge itself: it sees what a client would see, and lets through nothing that the table does not name."""

from tests.torchserve.exchange import Answer
from tests.torchserve.judge import complaints
from tests.torchserve.normal import differences, error, seen
from tests.torchserve.table import Scenario, deviating, infer

HEADERS = (
    ("x-request-id", "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"),
    ("Pragma", "no-cache"),
    ("Cache-Control", "no-cache; no-store, must-revalidate, private"),
    ("Expires", "Thu, 01 Jan 1970 00:00:00 UTC"),
    ("content-length", "1"),
    ("connection", "keep-alive"),
)
FAILED = error(400, "BadRequestException", "The body is <any>.")
ROW = infer("POST", "/predictions/m", "x")
TITLE = ROW.title


def scenario(*, deviates: bool = False) -> Scenario:
    return Scenario("s", "plain", (deviating("bad-input", ROW, FAILED),) if deviates else (ROW,))


def test_other_ids_addresses_and_times_are_no_difference() -> None:
    other = (("x-request-id", "7c9e6679-7425-40de-944b-e07fc1f90ae7"), *HEADERS[1:], ("date", "today"))
    ours = seen(Answer(200, "", other, b"7"))

    found = differences(seen(Answer(200, "", HEADERS, b"7")), ours)

    assert not found


def test_each_missing_or_added_header_is_a_difference() -> None:
    theirs = seen(Answer(200, "", HEADERS, b"7"))

    found = differences(theirs, seen(Answer(200, "", (*HEADERS[1:], ("content-type", "text/plain")), b"7")))

    assert found == [
        "header content-type: None against 'text/plain'",
        "header x-request-id: '<uuid4>' against None",
    ]


def test_an_answer_that_no_deviation_explains_is_a_complaint() -> None:
    theirs, ours = seen(Answer(200, "", HEADERS, b"7")), seen(Answer(200, "", HEADERS, b"1"))

    found = complaints(scenario(), {TITLE: [theirs]}, {TITLE: [ours]}, strict=False)

    assert found == [f"{TITLE}: body: '7' against '1'"]


def test_a_deviation_is_expected_when_not_strict_and_a_complaint_when_strict() -> None:
    theirs = seen(Answer(503, "", HEADERS, b"7"))
    ours = {**theirs, "status": 400, "headers": {**theirs["headers"], **FAILED["headers"]}}
    ours["body"] = FAILED["body"].replace("<any>", "empty")

    lenient = complaints(scenario(deviates=True), {TITLE: [theirs]}, {TITLE: [ours]}, strict=False)
    strict = complaints(scenario(deviates=True), {TITLE: [theirs]}, {TITLE: [ours]}, strict=True)

    assert lenient == []
    assert f"{TITLE}: status: 503 against 400" in strict


def test_a_deviation_that_is_none_any_more_is_a_complaint() -> None:
    same = seen(Answer(400, "", (*HEADERS[:-1], ("connection", "close"), ("content-type", "application/json")), b"7"))
    same["body"] = FAILED["body"]

    found = complaints(scenario(deviates=True), {TITLE: [same]}, {TITLE: [same]}, strict=False)

    assert found == [f"{TITLE}: the deviation bad-input is none any more: take it off this row"]
