import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.errors import RequestError
from demlopment.records import TrafficPlan
from demlopment.serving import assign
from demlopment.serving.traffic import plan_from
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


def plan(share: float, salt: str = "s") -> TrafficPlan:
    return TrafficPlan("digits", "1.0", "2.0", share, salt)


@pytest.mark.parametrize(("salt", "unit", "point"), VECTORS)
def test_a_unit_changes_arms_exactly_at_its_published_point(salt: str, unit: str, point: float) -> None:
    below, above = plan(point, salt), plan(point + 2**-48, salt)

    arms = assign(unit, below), assign(unit, above)

    assert arms == ("control", "treatment")


@given(unit=st.text(), low=shares, high=shares)
def test_ramping_up_never_sends_a_unit_back_to_control(unit: str, low: float, high: float) -> None:
    low, high = sorted((low, high))

    arms = assign(unit, plan(low)), assign(unit, plan(high))

    assert arms != ("treatment", "control")


@given(unit=st.text())
def test_nobody_is_treated_at_share_0_and_everybody_at_share_1(unit: str) -> None:
    arms = assign(unit, plan(0.0)), assign(unit, plan(1.0))

    assert arms == ("control", "treatment")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_the_share_of_many_units_is_the_planned_one(share: float) -> None:
    units = 20_000

    treated = sum(assign(f"user-{number}", plan(share)) == "treatment" for number in range(units))

    # Five standard deviations: a fair hash is outside once in two million runs, and this one is always the same run.
    assert abs(treated - units * share) < 5 * (units * share * (1 - share)) ** 0.5


def test_two_salts_assign_independently() -> None:
    units = [f"user-{number}" for number in range(20_000)]

    both = sum(assign(unit, plan(0.5, "a")) == assign(unit, plan(0.5, "b")) == "treatment" for unit in units)

    assert abs(both - 5_000) < 5 * (20_000 * 0.25 * 0.75) ** 0.5


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"share": 1.5}, "share"),
        ({"share": -0.1}, "share"),
        ({"share": float("nan")}, "share"),
        ({"share": True}, "share"),
        ({"share": 10**400}, "share"),
        ({"salt": "\ud800"}, "salt"),
        ({"share": "0.5"}, "share"),
        ({"share": None}, "share"),
        ({"control": ""}, "control"),
        ({"treatment": 2}, "treatment"),
        ({"salt": "x" * 129}, "salt"),
        ({"unit_header": "not a header"}, "unit_header"),
        ({"model": "letters"}, "model"),
        ({"weights": [1, 2]}, "weights"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused_by_the_name_of_its_field(change: dict[str, object], named: str) -> None:
    values = {"control": "1.0", "treatment": "2.0", "share": 0.5} | change

    with pytest.raises(RequestError, match=named):
        plan_from("digits", values)


def test_units_get_the_arm_over_http_that_the_plan_gives_them(endpoint: Running) -> None:
    chosen = {"control": "1.0", "treatment": "2.0", "share": 0.4, "salt": "over-http", "unit_header": "X-User"}
    put = endpoint.management.put("/models/digits/traffic", json=chosen)
    planned = TrafficPlan("digits", "1.0", "2.0", 0.4, "over-http", "x-user")
    units = [f"user-{number}" for number in range(40)]

    answers = [
        endpoint.inference.post("/predictions/digits", content=digit(1), headers={"x-user": unit}) for unit in units + units
    ]
    explicit = endpoint.inference.post("/predictions/digits/2.0", content=digit(1), headers={"x-user": "user-0"})
    shown = endpoint.management.get("/models/digits/traffic").json()
    removed = endpoint.management.delete("/models/digits/traffic")
    after = endpoint.inference.post("/predictions/digits", content=digit(1), headers={"x-user": "user-0"})

    assert put.status_code == removed.status_code == 200
    assert [answer.headers["x-arm"] for answer in answers] == [assign(unit, planned) for unit in units + units]
    versions = {"control": "1.0", "treatment": "2.0"}
    assert [answer.headers["x-model-version"] for answer in answers] == [
        versions[assign(unit, planned)] for unit in units + units
    ]
    assert (explicit.headers["x-arm"], explicit.headers["x-model-version"]) == ("direct", "2.0")
    assert shown == {"model": "digits", **chosen, "unit_header": "x-user"}
    assert (after.headers["x-arm"], after.headers["x-model-version"]) == ("direct", "1.0")
    assert endpoint.management.get("/models/digits/traffic").status_code == 404
