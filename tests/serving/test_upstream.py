"""The addresses of other servers: which are taken, which paths they become, and who allows them."""

from urllib.parse import unquote

import pytest

from demlopment.errors import RequestError, SettingsError
from demlopment.serving import paths
from demlopment.serving.upstream import Allowed, Upstream

BASE = "http://there:9080"


@pytest.mark.parametrize(
    ("url", "asked", "becomes"),
    [
        ("/predictions/m", "/predictions/digits", "/predictions/m"),
        ("/predictions/m", "/predictions/digits/2.0/any/rest", "/predictions/m"),
        ("/predictions/m/1.0", "/predictions/digits/2.0/any/r%20st", "/predictions/m/1.0/any/r%2520st"),
        ("/predictions/m/1.0", "/explanations/digits", "/explanations/m/1.0"),
        ("/predictions/m", "/v1/models/digits:predict", "/v1/models/m:predict"),
        ("/predictions/m", "/v1/models/digits:explain", "/v1/models/m:explain"),
        ("/predictions/m", "/v2/models/digits/infer", "/v2/models/m/infer"),
        ("/predictions/m", "/v2/models/digits/explain", "/v2/models/m/explain"),
        ("/predictions/m", "/digits/predict", "/m/predict"),
        ("/predictions/m/1.0", "/models/digits/invoke", "/m/1.0/predict"),
        ("/predictions/a%20b", "/predictions/digits", "/predictions/a%20b"),
    ],
)
def test_a_path_of_ours_becomes_the_same_kind_of_path_there(url: str, asked: str, becomes: str) -> None:
    target = paths.asked(asked)
    assert target is not None

    assert Upstream.at(BASE + url).path(target) == BASE + becomes


@pytest.mark.parametrize("asked", ["/v1/models/digits:predict", "/v2/models/digits/infer"])
def test_one_version_of_a_torchserve_cannot_be_asked_in_kserves_words(asked: str) -> None:
    target = paths.asked(asked)
    assert target is not None

    with pytest.raises(RequestError, match="Register it without a version") as refused:
        Upstream.at(f"{BASE}/predictions/m/1.0").path(target)

    assert refused.value.status == 501


@pytest.mark.parametrize("rest", ["/../../../models", "/a/../b", "/.", "/..%2f..", "/%2e%2e"])
def test_no_path_leads_out_of_the_model(rest: str) -> None:
    target = paths.asked(unquote(f"/predictions/digits/2.0{rest}"))
    assert target is not None

    with pytest.raises(RequestError, match="leads out of the model") as refused:
        Upstream.at(f"{BASE}/predictions/m/1.0").path(target)

    assert refused.value.status == 404


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://there:9080/ts/predictions/%2e%2e/models",
        "http://there:9080/predictions/m/%2E%2E",
        "http://there:9080/predictions/.",
        "http://there:9080/a/./predictions/m",
        "http://there:9080/predictions/m%2F..%2Fmodels",
        "there:9080/predictions/m",
        "ftp://there/predictions/m",
        "http://there:9080",
        "http://there:9080/predictions/",
        "http://there:9080/predictions/m/1/2",
        "http://user:word@there/predictions/m",
        "http://there/predictions/m?a=1",
        "http://there/predictions/m#a",
        "http://there/../predictions/m",
        "http://there:99999/predictions/m",
        "http://there:0/predictions/m",
        "http://there/predictions/m\nHost: other",
    ],
)
def test_what_is_no_address_of_predictions_is_refused(url: str) -> None:
    with pytest.raises(RequestError, match="is not http://HOST:PORT/predictions/MODEL"):
        Upstream.at(url)


def test_an_address_is_nowhere_allowed_by_itself_and_must_match_as_a_whole() -> None:
    some = Allowed.of(r"http://there:9080/.*, https://b/predictions/m")

    some.refuse("http://there:9080/predictions/m")
    some.refuse("https://b/predictions/m")
    for allowed, url in ((some, "https://b/predictions/m2"), (some, "http://x/http://there:9080/"), (Allowed.of(""), BASE)):
        with pytest.raises(RequestError, match="is not allowed"):
            allowed.refuse(url)
    with pytest.raises(SettingsError, match=r"endpoint\.allowed_upstreams has '\(', which is not a regular expression"):
        Allowed.of("(")
