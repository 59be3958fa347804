import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.serving.http import wire
from demlopment.serving.paths import Target, target

WORDS = ["predictions", "explanations", "models", "invocations", "invoke", "predict", "v1", "v2", "infer", "ping", "versions"]


@pytest.mark.parametrize(
    ("path", "wanted", "marks"),
    [
        ("/predictions/m", Target("m"), {"explain": "False", "url_path": ""}),
        ("/predictions/m/", Target("m"), {"explain": "False", "url_path": ""}),
        ("/predictions/m/1.0//", Target("m", "1.0"), {"explain": "False", "url_path": ""}),
        ("/predictions/m/1.0/any/rest/", Target("m", "1.0", rest="any/rest"), {"explain": "False", "url_path": "any/rest"}),
        ("/predictions//m", Target("", "m"), {"explain": "False", "url_path": ""}),
        ("/explanations/m/1.0", Target("m", "1.0", "explain"), {"explain": "True", "url_path": ""}),
        ("/v1/models/m:predict", Target("m", None, "predict", "kserve-v1"), {"explain": "False"}),
        ("/v1/models/m:explain", Target("m", None, "explain", "kserve-v1"), {"explain": "True"}),
        ("/v2/models/m/infer", Target("m", None, "predict", "kserve-v2"), {"explain": "False"}),
        ("/v2/models/m/explain", Target("m", None, "explain", "kserve-v2"), {"explain": "True"}),
        ("/v2/models/m/versions/2/infer", Target("m", "2", "predict", "kserve-v2"), {"explain": "False"}),
        ("/invocations", Target(None, dialect="query"), {}),
        ("/models/m/invoke", Target("m", dialect="query"), {}),
        ("/m/predict", Target("m", dialect="query"), {}),
        ("/m/1.0/predict", Target("m", "1.0", dialect="query"), {}),
    ],
)
def test_a_path_asks_what_torchserve_recorded(path: str, wanted: Target, marks: dict[str, str]) -> None:
    found = target(wire.segments(path))

    assert found == wanted
    assert wanted.marks == marks


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/ping", "/predictions", "/predictions/", "//predictions/m", "/Predictions/m", "/predict", "/explanations"),
        *("/models", "/models/m", "/models/m/predict", "/invocations/predict", "/v1/models/m", "/v1/models/m:guess"),
        *("/v2", "/v2/models/m", "/v2/models/m/guess", "/v2/models/m/ready", "/wfpredict/m"),
    ],
)
def test_other_paths_ask_no_model(path: str) -> None:
    assert target(wire.segments(path)) is None


@given(st.lists(st.sampled_from([*WORDS, "m", "", ":predict"]), max_size=6))
def test_whatever_is_asked_names_a_model_or_leaves_it_to_the_query(parts: list[str]) -> None:
    found = target(parts)

    assert found is None or found.model is not None or parts == ["invocations"]
