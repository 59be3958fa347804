from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chi2

from demlopment.errors import RequestError
from demlopment.records import TrafficPlan, Treatment
from demlopment.serving import assign
from demlopment.serving.plans import plan_from, plan_shown
from demlopment.serving.traffic import Split, fits
from demlopment.serving.units import Asker
from tests.serving.endpoint import Running, digit

shares = st.floats(0, 1)

# Published: another implementation must assign alike. The point is the first 6 bytes of BLAKE2b (digest size 6) over
# "salt:unit" in UTF-8, read as a big-endian integer and divided by 2**48; made with Python's hashlib.
VECTORS = [
    ("demlopment-1", "ada", 0x50C26400D23D / 2**48),
    ("demlopment-1", "grace", 0x59857CC5ED08 / 2**48),
    ("demlopment-1", "", 0x0D4399019C6A / 2**48),
    ("demlopment-2", "ada", 0xAF4ACB60D888 / 2**48),
    ("s", "Zoë", 0x62ED53243988 / 2**48),
    ("s", "用户-7", 0x6D62956D2691 / 2**48),
]


def plan(*of: float, salt: str = "s") -> TrafficPlan:
    return TrafficPlan("digits", "1.0", tuple(Treatment(f"{place}.0", share) for place, share in enumerate(of, 2)), salt)


@pytest.mark.parametrize(("salt", "unit", "point"), VECTORS)
def test_a_unit_changes_arms_exactly_at_its_published_point(salt: str, unit: str, point: float) -> None:
    below, above = plan(point, salt=salt), plan(point + 2**-48, salt=salt)

    arms = assign(unit, below), assign(unit, above)

    assert arms == (("control", "1.0"), ("treatment", "2.0"))


@pytest.mark.parametrize(("salt", "unit", "point"), VECTORS)
@pytest.mark.parametrize("spec", ["header:x-user", "cookie:user", "field:user"])
def test_a_unit_that_a_request_carries_has_its_published_point_too(salt: str, unit: str, point: float, spec: str) -> None:
    sent = unit.encode()
    asker = Asker({b"x-user": sent, b"cookie": b"user=" + sent}, f"other=%E9&user={quote(unit)}".encode())
    carried = Split(replace(plan(point), salt=salt, unit=spec)).unit(asker, "")

    assert carried == unit
    assert assign(carried, plan(point + 2**-48, salt=salt)).arm == "treatment"


@pytest.mark.parametrize(
    ("of", "expected"),
    [  # ada's point is 0.3155 and grace's 0.3497 under this salt; the empty unit's is 0.0518
        ((0.32,), "2.0 1.0 2.0"),
        ((0.05, 0.67), "1.0 3.0 1.0"),
        ((0.05, 0.05, 0.2), "1.0 1.0 1.0"),
        ((0.05, 0.05, 0.2, 0.16), "1.0 5.0 1.0"),
        ((0.06, 0.05, 0.2, 0.19), "5.0 5.0 2.0"),
    ],
)
def test_several_treatments_lie_where_the_published_rule_says(of: tuple[float, ...], expected: str) -> None:
    found = [assign(unit, plan(*of, salt="demlopment-1")).version for unit in ("ada", "grace", "")]

    assert " ".join(found) == expected


@given(unit=st.text(), low=shares, high=shares)
def test_ramping_up_never_sends_a_unit_back_to_control(unit: str, low: float, high: float) -> None:
    low, high = sorted((low, high))

    arms = assign(unit, plan(low)).arm, assign(unit, plan(high)).arm

    assert arms != ("treatment", "control")


@given(
    unit=st.text(), of=st.lists(st.floats(0, 0.25), min_size=1, max_size=4), raised=st.integers(0, 3), more=st.floats(0, 0.25)
)
def test_raising_one_of_several_shares_moves_units_from_the_control_to_it_alone(
    unit: str, of: list[float], raised: int, more: float
) -> None:
    raised %= len(of)

    larger = plan(*(share + more * (place == raised) for place, share in enumerate(of)))
    assume(fits(larger))

    before, after = assign(unit, plan(*of)).version, assign(unit, larger).version

    assert before == after or (before, after) == ("1.0", f"{raised + 2}.0")


@given(unit=st.text(), of=st.lists(st.floats(0, 0.25), min_size=2, max_size=4))
def test_a_treatment_that_is_added_takes_units_from_the_control_alone(unit: str, of: list[float]) -> None:
    before, after = assign(unit, plan(*of[:-1])).version, assign(unit, plan(*of)).version

    assert before == after or (before, after) == ("1.0", f"{len(of) + 1}.0")


@given(unit=st.text())
def test_nobody_is_treated_at_share_0_and_everybody_at_share_1(unit: str) -> None:
    arms = assign(unit, plan(0.0)).arm, assign(unit, plan(1.0)).arm

    assert arms == ("control", "treatment")


@pytest.mark.parametrize("of", [(0.1,), (0.5,), (0.8,), (0.25, 0.25), (0.1, 0.2, 0.15), (0.2, 0.2, 0.2, 0.2)])
def test_the_shares_of_many_units_are_the_planned_ones(of: tuple[float, ...]) -> None:
    units, planned = 20_000, [1 - sum(of), *of]
    found = [assign(f"user-{number}", plan(*of)).version for number in range(units)]

    counts = [found.count(f"{number}.0") for number in range(1, len(of) + 2)]

    # The hash is fixed, so this is always the same run; a fair one is beyond once in a million.
    distance = sum((count - units * share) ** 2 / (units * share) for count, share in zip(counts, planned, strict=True))
    assert chi2.sf(distance, len(of)) > 1e-6


def test_two_salts_assign_independently() -> None:
    units = [f"user-{number}" for number in range(20_000)]

    both = sum(assign(unit, plan(0.5, salt="a")).arm == assign(unit, plan(0.5, salt="b")).arm == "treatment" for unit in units)

    assert abs(both - 5_000) < 5 * (20_000 * 0.25 * 0.75) ** 0.5


@given(unit=st.text(max_size=9), of=st.lists(st.floats(0, 1), min_size=1, max_size=4), at=st.floats(0, 100))
def test_a_plan_that_is_ready_assigns_as_the_plan_itself(unit: str, of: list[float], at: float) -> None:
    chosen = Split(plan(*of)).chosen(unit, at)

    assert not fits(plan(*of)) or chosen == assign(unit, plan(*of))


@pytest.mark.parametrize(("at", "arm"), [(9.9, "direct"), (10.0, "treatment"), (19.9, "treatment"), (20.0, "direct")])
def test_outside_of_its_time_the_control_answers_and_nobody_is_in_the_experiment(at: float, arm: str) -> None:
    everybody = TrafficPlan("digits", "1.0", (Treatment("2.0", 1.0),), "s", starts=10.0, ends=20.0)

    assert Split(everybody).chosen("ada", at) == (arm, "2.0" if arm == "treatment" else "1.0")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"treatments": [{"version": "2.0", "share": 1.5}]}, "share"),
        ({"treatments": [{"version": "2.0", "share": -0.1}]}, "share"),
        ({"treatments": [{"version": "2.0", "share": float("nan")}]}, "share"),
        ({"treatments": [{"version": "2.0", "share": True}]}, "share"),
        ({"treatments": [{"version": "2.0", "share": 10**400}]}, "share"),
        ({"treatments": [{"version": "2.0", "share": "0.5"}]}, "share"),
        ({"treatments": [{"version": "2.0"}]}, "share"),
        ({"treatments": [{"version": 2, "share": 0.5}]}, "version"),
        ({"treatments": [{"version": "2.0", "share": 0.5, "weight": 1}]}, "A treatment has no field 'weight'"),
        ({"treatments": ["2.0"]}, "A treatment of the plan is '2.0'"),
        ({"treatments": []}, "compares nothing"),
        ({"shadows": "3.0"}, "shadows are '3.0'"),
        ({"shadows": [3]}, "shadow is 3"),
        ({"shadows": [f"{number}.0" for number in range(3, 8)]}, "at most 4 versions"),
        ({"treatments": None}, "treatments are None"),
        ({"treatments": "2.0"}, "treatments are '2.0'"),
        ({"treatments": [{"version": f"{number}.0", "share": 0.1} for number in range(2, 7)]}, "at most 4 objects"),
        ({"treatments": [{"version": "2.0", "share": 0.1}, {"version": "2.0", "share": 0.2}]}, "version 2.0 twice"),
        ({"treatments": [{"version": "2.0", "share": 0.6}, {"version": "3.0", "share": 0.5}]}, "add up to 1.1"),
        (
            {"treatments": [{"version": f"{place}.0", "share": share} for place, share in enumerate((0.6, 0.1, 0.1), 2)]},
            "0.6, 0.1, 0.1 take each other's units",
        ),
        ({"salt": "\ud800"}, "salt"),
        ({"control": ""}, "control"),
        ({"salt": "x" * 129}, "salt"),
        ({"unit": "header:not a header"}, "unit"),
        ({"unit": "header"}, "unit"),
        ({"unit": "client:x"}, "unit"),
        ({"unit": "field:"}, "unit"),
        ({"starts": "tomorrow"}, "starts"),
        ({"starts": "2027-01-31T12:00:00"}, "zone"),
        ({"ends": 17}, "ends"),
        ({"starts": "0001-01-01T00:00:00+14:00"}, "starts"),
        ({"ends": "9999-12-31T23:59:59-14:00"}, "ends"),
        ({"starts": "2027-01-31T12:00:00Z", "ends": "2027-01-31T12:00:00Z"}, "ends before it starts"),
        ({"a_a": "yes"}, "a_a"),
        ({"model": "letters"}, "model"),
        ({"weights": [1, 2]}, "weights"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused_by_the_name_of_its_field(change: dict[str, object], named: str) -> None:
    values = {"control": "1.0", "treatments": [{"version": "2.0", "share": 0.5}]} | change

    with pytest.raises(RequestError, match=named):
        plan_from("digits", values)


@pytest.mark.parametrize("change", [{"control": "x" * 9999}, {"a_a": "x" * 9999}, {"model": "x" * 9999}, {"x" * 9999: 1}])
def test_what_is_refused_is_not_sent_back_at_length(change: dict[str, object]) -> None:
    with pytest.raises(RequestError) as refused:
        plan_from("digits", {"control": "1.0", "treatments": [{"version": "2.0", "share": 0.5}]} | change)

    assert len(str(refused.value)) < 400


times = st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
    lambda at: at.timestamp()
)


@given(
    of=st.lists(st.floats(0, 0.25), min_size=1, max_size=4),
    unit=st.sampled_from(["header:x-user", "cookie:Visitor", "field:user id", "client", "request"]),
    starts=times,
    ends=times,
    a_a=st.booleans(),
    shadows=st.lists(st.sampled_from(["7.0", "8.0"]), unique=True).map(tuple),
)
def test_a_plan_that_was_shown_is_read_again(
    of: list[float], unit: str, starts: float | None, ends: float | None, shadows: tuple[str, ...], *, a_a: bool
) -> None:
    if starts is not None and ends is not None and starts >= ends:
        starts = None
    sent = TrafficPlan("digits", "1.0", plan(*of).treatments, "s", unit, starts, ends, a_a, shadows)

    assert plan_from("digits", plan_shown(sent)) == sent


def test_several_shares_may_add_up_to_all_units_in_spite_of_rounding() -> None:
    for hundredths in range(101):
        of = [{"version": "2.0", "share": hundredths / 100}, {"version": "3.0", "share": 1 - hundredths / 100}]
        assert len(plan_from("digits", {"control": "1.0", "treatments": of}).treatments) == 2


def test_units_get_the_arm_over_http_that_the_plan_gives_them(endpoint: Running) -> None:
    treatments = [{"version": "2.0", "share": 0.4}]
    chosen = {"control": "1.0", "treatments": treatments, "salt": "over-http", "unit": "header:X-User"}
    put = endpoint.management.put("/models/digits/traffic", json=chosen)
    planned = plan(0.4, salt="over-http")
    units = [f"user-{number}" for number in range(40)]

    answers = [
        endpoint.inference.post("/predictions/digits", content=digit(1), headers={"x-user": unit}) for unit in units + units
    ]
    explicit = endpoint.inference.post("/predictions/digits/2.0", content=digit(1), headers={"x-user": "user-0"})
    shown = endpoint.management.get("/models/digits/traffic").json()
    removed = endpoint.management.delete("/models/digits/traffic")
    after = endpoint.inference.post("/predictions/digits", content=digit(1), headers={"x-user": "user-0"})

    assert put.status_code == removed.status_code == 200
    assert [(answer.headers["x-arm"], answer.headers["x-model-version"]) for answer in answers] == [
        assign(unit, planned) for unit in units + units
    ]
    assert (explicit.headers["x-arm"], explicit.headers["x-model-version"]) == ("direct", "2.0")
    assert shown == put.json()
    assert {name: shown[name] for name in ("control", "treatments", "salt", "unit", "starts")} == {
        "control": "1.0",
        "treatments": treatments,
        "salt": "over-http",
        "unit": "header:x-user",
        "starts": None,
    }
    assert (after.headers["x-arm"], after.headers["x-model-version"]) == ("direct", "1.0")
    assert endpoint.management.get("/models/digits/traffic").status_code == 404


@pytest.mark.parametrize(
    ("unit", "sent"),
    [
        ("cookie:visitor", {"headers": {"cookie": 'theme=dark; visitor="user-{}"'}}),
        ("field:user", {"params": {"user": "user-{}"}}),
    ],
)
def test_a_unit_stands_in_a_cookie_or_in_a_field(endpoint: Running, unit: str, sent: dict[str, dict[str, str]]) -> None:
    treatments = [{"version": "2.0", "share": 0.4}]
    chosen = {"control": "1.0", "treatments": treatments, "salt": "over-http", "unit": unit}
    assert endpoint.management.put("/models/digits/traffic", json=chosen).status_code == 200

    found = []
    for number in range(20):
        (kind, values) = next(iter(sent.items()))
        filled: dict[str, dict[str, str]] = {kind: {key: value.format(number) for key, value in values.items()}}
        answer = endpoint.inference.request("POST", "/predictions/digits", content=digit(1), **filled)  # type: ignore[arg-type]
        found.append(answer.headers["x-arm"])
    form = [
        endpoint.inference.post(
            "/predictions/digits", data={"user": f"user-{number}"}, files={"data": ("a.png", digit(1), "image/png")}
        ).headers["x-arm"]
        for number in range(20)
    ]
    endpoint.management.delete("/models/digits/traffic")

    expected = [assign(f"user-{number}", plan(0.4, salt="over-http")).arm for number in range(20)]
    assert found == expected
    assert unit.startswith("cookie") or form == expected


def test_a_client_that_is_the_unit_meets_one_arm(endpoint: Running) -> None:
    chosen = {"control": "1.0", "treatments": [{"version": "2.0", "share": 0.5}], "unit": "client"}
    assert endpoint.management.put("/models/digits/traffic", json=chosen).status_code == 200

    met = {endpoint.inference.post("/predictions/digits", content=digit(1)).headers["x-arm"] for _ in range(20)}
    endpoint.management.delete("/models/digits/traffic")

    assert len(met) == 1
