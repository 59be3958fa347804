from dataclasses import replace
from pathlib import Path

import pytest

from demlopment import archive
from demlopment.errors import ArchiveError, RequestError
from demlopment.records import TrafficPlan, Treatment
from demlopment.serving.arms import refuse_unlike
from demlopment.serving.state import Version
from tests.serving.endpoint import Running, onnx_network, packed


def plan(control: str, *treatments: str, a_a: bool = False) -> TrafficPlan:
    return TrafficPlan("digits", control, tuple(Treatment(each, 0.1) for each in treatments), "s", a_a=a_a)


@pytest.fixture
def versions(tmp_path: Path) -> dict[str, Version]:
    """1.0 and 2.0 differ, 3.0 has the network of 2.0, 4.0 tells other classes apart, 5.0 and 6.0 are one handler."""
    packed(tmp_path, "1.0")
    second = packed(tmp_path, "2.0")
    packed(tmp_path, "3.0", network=onnx_network("2.0"))
    read = archive.read(second)
    letters = tuple("abcdefghij")
    archive.write(tmp_path, replace(read, card=replace(read.card, version="4.0", classes=letters), network=onnx_network("4.0")))
    for version in ("5.0", "6.0"):
        (tmp_path / f"digits-{version}.mar").write_bytes(b"the same code")
    kinds = {"5.0": "handler", "6.0": "handler"}
    return {
        f"{number}.0": Version(f"digits-{number}.0.mar", "", 1, 1, kind=kinds.get(f"{number}.0", "onnx"))  # type: ignore[arg-type]
        for number in range(1, 7)
    }


@pytest.mark.parametrize("arms", ["1.0 2.0", "1.0 3.0", "1.0 5.0", "5.0 1.0", "1.0 9.9", "9.9 1.0"])
def test_arms_that_can_differ_are_compared(tmp_path: Path, versions: dict[str, Version], arms: str) -> None:
    refuse_unlike(plan(*arms.split()), versions, tmp_path)


@pytest.mark.parametrize("arms", [("2.0", "3.0"), ("1.0", "1.0"), ("1.0", "2.0", "3.0"), ("5.0", "6.0")])
def test_arms_that_are_one_model_are_an_a_a_test_or_refused(
    tmp_path: Path, versions: dict[str, Version], arms: tuple[str, ...]
) -> None:
    refuse_unlike(plan(*arms, a_a=True), versions, tmp_path)
    with pytest.raises(RequestError, match=rf"{arms[-2]} and {arms[-1]} of model digits are the same model.* a_a") as refused:
        refuse_unlike(plan(*arms), versions, tmp_path)

    assert refused.value.status == 409


def test_a_shadow_is_a_network_beside_networks(tmp_path: Path, versions: dict[str, Version]) -> None:
    refuse_unlike(replace(plan("1.0"), shadows=("2.0",)), versions, tmp_path)
    with pytest.raises(RequestError, match=r"Version 5\.0 of model digits is Python code"):
        refuse_unlike(replace(plan("1.0", "5.0"), shadows=("2.0",)), versions, tmp_path)
    with pytest.raises(RequestError, match=r"2\.0 and 3\.0 of model digits are the same model"):
        refuse_unlike(replace(plan("1.0", "2.0"), shadows=("3.0",)), versions, tmp_path)


def test_arms_of_other_classes_are_never_compared(tmp_path: Path, versions: dict[str, Version]) -> None:
    with pytest.raises(RequestError, match="have the classes 0,1,2,3,4,5,6,7,8,9 and a,b,c,d,e,f,g,h,i,j"):
        refuse_unlike(plan("1.0", "2.0", "4.0", a_a=True), versions, tmp_path)


def test_an_arm_that_was_altered_in_the_store_is_named(tmp_path: Path, versions: dict[str, Version]) -> None:
    (tmp_path / "digits-2.0.mar").write_bytes(b"PK")
    (tmp_path / "digits-6.0.mar").unlink()

    with pytest.raises(ArchiveError, match=r"digits-2\.0\.mar"):
        refuse_unlike(plan("1.0", "2.0"), versions, tmp_path)
    with pytest.raises(ArchiveError, match=r"digits-6\.0\.mar"):
        refuse_unlike(plan("1.0", "6.0"), versions, tmp_path)


def test_a_plan_for_one_model_twice_is_refused_over_http(endpoint: Running) -> None:
    same = {"control": "1.0", "treatments": [{"version": "1.0", "share": 0.5}]}

    answer = endpoint.management.put("/models/digits/traffic", json=same)

    assert (answer.status_code, endpoint.management.get("/models/digits/traffic").status_code) == (409, 404)
    assert "a_a" in answer.json()["message"]
