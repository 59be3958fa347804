"""The metrics of handlers: whatever they measure, what is exposed is valid, bounded, and collides with nothing."""

import re

from hypothesis import given
from hypothesis import strategies as st

from demlopment.serving import measured
from demlopment.serving.families import FAMILIES
from demlopment.serving.measured import MAX_SERIES, Measured
from demlopment.serving.metrics import write
from demlopment.serving.tally import Tally

SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",)+)\} (\S+)', re.ASCII)
KEY = ("digits", "1.0")
DROPPED = ("demlopment_handler_metrics_dropped_total", *KEY)
names = st.sampled_from(["Tokens", "Tokens_count", "Requests2XX", "demlopment_own", "le"]) | st.text()
measurements = st.builds(
    Measured,
    names,
    st.sampled_from(["counter", "gauge", "histogram", "other"]),
    st.text(max_size=4),
    st.floats(),
    st.lists(st.tuples(st.sampled_from(["le", "Hostname", "a", "__b"]) | st.text(), st.text()), max_size=4).map(tuple),
)


def tallied(*these: Measured, key: tuple[str, str] = KEY) -> Tally:
    tally = Tally()
    for each in these:
        measured.note(tally, key, each)
    return tally


def shown(tally: Tally, *, strict: bool = False) -> list[str]:
    return list(measured.lines(tally, "h", strict=strict))


def counted(name: str, value: float = 1.0, **labels: str) -> Measured:
    return Measured(name, "counter", "Count", value, tuple(labels.items()))


@given(st.lists(measurements, max_size=12))
def test_whatever_is_measured_can_be_scraped(these: list[Measured]) -> None:
    tally = tallied(*these)

    text = write(tally, "h").encode().decode()

    types = re.findall("^# TYPE (\\S+) ", text, re.MULTILINE)
    samples = [SAMPLE.fullmatch(line) for line in shown(tally) if not line.startswith("#")]
    assert len(types) == len(set(types))
    assert all(samples)
    found = [match.group(1, 2) for match in samples if match]
    assert len(found) == len(set(found)), "no sample stands twice"
    for _, labels in found:
        keys = re.findall(r'(\w+)="(?:[^"\\\n]|\\.)*",', labels)
        assert len(keys) == len(set(keys))


@given(st.lists(measurements, max_size=12))
def test_no_name_of_the_endpoint_is_ever_given_away(these: list[Measured]) -> None:
    lines = shown(tallied(*these))

    ours = {family.name for family in FAMILIES}
    assert not ours & {line.split("{")[0] for line in lines}
    assert not [line for line in lines if line.startswith("demlopment_")]


def test_a_label_without_bounds_fills_no_memory_and_what_is_left_out_is_counted() -> None:
    tally = tallied(*(counted("Seen", request=str(number)) for number in range(MAX_SERIES + 5)))
    measured.note(tally, ("digits", "2.0"), counted("Seen", request="one"))

    assert len([series for series in tally.counters if series[0] == measured.MARK]) == MAX_SERIES + 1
    assert tally.counters[DROPPED] == 5


def test_a_name_belongs_to_the_kind_that_came_first() -> None:
    histogram = Measured("Lat", "histogram", "Milliseconds", 7.0, ())

    tally = tallied(histogram, counted("Lat"), counted("Lat_count"), counted("Latter"))

    assert tally.counters[DROPPED] == 2
    assert [line for line in shown(tally) if line.startswith("# TYPE")] == ["# TYPE Latter counter", "# TYPE Lat histogram"]


def test_strict_puts_the_versions_together_as_torchserve_does() -> None:
    tally = tallied(counted("Tokens", 1.0, tenant="a"), Measured("Lat", "histogram", "Milliseconds", 5.0, ()))
    measured.note(tally, ("digits", "2.0"), counted("Tokens", 10.0, tenant="a"))
    measured.note(tally, ("digits", "2.0"), Measured("Lat", "histogram", "Milliseconds", 6.0, ()))

    lines = shown(tally, strict=True)

    assert lines[:3] == [
        "# HELP Tokens Torchserve prometheus counter metric with unit: Count",
        "# TYPE Tokens counter",
        'Tokens{tenant="a",Hostname="h",} 11.0',
    ]
    assert 'Lat_bucket{Hostname="h",le="5.0",} 1.0' in lines
    assert lines[-2:] == ['Lat_count{Hostname="h",} 2.0', 'Lat_sum{Hostname="h",} 11.0']
