"""The manifests: of Kubernetes' own schemas, safe by its strictest standard, and in keeping with the endpoint that they run."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from demlopment import settings
from demlopment.serving import ending, slot
from tests.compose import file, stage
from tests.compose.file import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
RELEASE = "1.34"  # of Kubernetes, whose schemas these are; strict: a field that it does not have is an error
BUILT = ("base", "overlays/local", "overlays/cloud", "kserve")
KINDS = {"Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", "ServiceAccount"}
# Of KServe's predictor, which is a PodSpec and more: names of the class V1beta1PredictorSpec of the package kserve 0.21.0.
KSERVES_OWN = {"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget"}
CONTAINER = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
POD = {
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "fsGroup": 10001,
}


def documents(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def sources() -> list[Path]:
    """Files of resources and patches: those that are Kustomize's own are not."""
    own = ("kustomization.yaml", "images.yaml")
    return sorted(path for path in FOLDER.rglob("*.yaml") if path.name not in own)


def built(name: str) -> dict[str, dict[str, Any]]:
    """What `kubectl apply -k` would send, by kind."""
    commands = (["kubectl", "kustomize"], ["kustomize", "build"])
    found = next((command for command in commands if shutil.which(command[0])), None)
    if found is None:
        pytest.skip("Overlays are put together by kubectl or kustomize, and neither is here")
    done = subprocess.run([*found, str(FOLDER / name)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    resources = list(yaml.safe_load_all(done.stdout))
    assert len({each["kind"] for each in resources}) == len(resources)
    return {each["kind"]: each for each in resources}


def validated(resource: dict[str, Any]) -> None:
    """Raises for a field that Kubernetes does not have, or a value that it does not take."""
    if resource["kind"] == "InferenceService":
        predictor = resource["spec"]["predictor"]
        spec = {name: value for name, value in predictor.items() if name not in KSERVES_OWN}
        resource = {"apiVersion": "v1", "kind": "Pod", "metadata": resource["metadata"], "spec": spec}
    kubernetes_validate.validate(resource, RELEASE, strict=True)


def pod(resources: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if "InferenceService" in resources:
        predictor: dict[str, Any] = resources["InferenceService"]["spec"]["predictor"]
        return predictor
    spec: dict[str, Any] = resources["Deployment"]["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(FOLDER)))
def test_every_file_is_of_the_official_schema(path: Path) -> None:
    resources = documents(path)

    assert resources
    for resource in resources:
        if path.parent.parent.name == "overlays":  # a patch is a part of a resource: its fields must be, what it leaves out not
            _known(resource)
        else:
            validated(resource)


def _known(patch: dict[str, Any]) -> None:
    try:
        kubernetes_validate.validate(patch, RELEASE, strict=True)
    except kubernetes_validate.ValidationError as error:
        if "is a required property" not in error.message and "None is not of type" not in error.message:
            raise


def test_a_field_that_does_not_exist_is_found() -> None:
    service = documents(FOLDER / "base" / "service.yaml")[0]
    service["spec"]["ports"][0]["targetport"] = "inference"

    with pytest.raises(kubernetes_validate.ValidationError, match="targetport"):
        validated(service)


@pytest.mark.parametrize("name", BUILT)
def test_what_is_applied_is_of_the_official_schema(name: str) -> None:
    resources = built(name)

    for resource in resources.values():
        validated(resource)
    assert set(resources) >= ({"InferenceService"} if name == "kserve" else KINDS)
    if name != "base":
        assert {each["metadata"].get("namespace", "demlopment") for each in resources.values()} == {"demlopment"}
        enforced = resources["Namespace"]["metadata"]["labels"]
        assert enforced == {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.mark.parametrize("name", BUILT)
def test_pods_are_restricted_read_only_and_hold_no_account(name: str) -> None:
    spec = pod(built(name))
    (container,) = spec["containers"]

    assert spec["securityContext"] == POD
    assert container["securityContext"] == CONTAINER
    assert spec["automountServiceAccountToken"] is False
    assert container["resources"]["requests"]
    assert "memory" in container["resources"]["limits"]
    mounted = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert set(mounted) == {volume["name"] for volume in spec["volumes"]}
    assert mounted["home"]["mountPath"] == "/var/lib/demlopment"


@pytest.mark.parametrize("name", BUILT)
def test_its_variables_are_settings_and_its_image_is_one_of_the_dockerfile(name: str) -> None:
    (container,) = pod(built(name))["containers"]
    named = {each["name"] for each in container["env"]} - {"STORAGE_URI"}  # KServe's
    valid = {f"DEMLOPMENT_{setting.replace('.', '__').upper()}" for setting in settings.names()}

    assert named
    assert named <= valid
    assert container["args"] == ["serve"]
    assert container["image"].endswith("serve"), "the endpoint's own image, by its tag"


@pytest.mark.parametrize("name", ["base", "overlays/local", "overlays/cloud"])
def test_everything_that_names_the_endpoint_means_the_same_pods(name: str) -> None:
    resources = built(name)
    deployment = resources["Deployment"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"] for port in deployment["spec"]["template"]["spec"]["containers"][0]["ports"]}

    target = resources["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert resources["Service"]["spec"]["selector"] == labels
    assert resources["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert resources["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert {port["targetPort"] for port in resources["Service"]["spec"]["ports"]} == ports
    allowed = [port["port"] for rule in resources["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]]
    assert sorted(allowed) == sorted(ports)
    spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [each["labelSelector"]["matchLabels"] for each in spread] == [labels] * len(spread)


def drained_seconds() -> float:
    """What an endpoint with default settings may take from SIGTERM to its end."""
    return settings.Settings.model_construct().endpoint.unregister_timeout + slot.DRAIN_SECONDS + slot.LEAVE_SECONDS


@pytest.mark.parametrize("name", BUILT)
def test_a_cluster_waits_until_requests_in_hand_are_answered(name: str) -> None:
    assert pod(built(name))["terminationGracePeriodSeconds"] > drained_seconds()


def test_whoever_else_stops_an_endpoint_waits_as_long() -> None:
    composed = file.loaded(stage.SECRETS)["services"]["endpoint"]["stop_grace_period"]
    unit = (ROOT / "docs" / "how-to" / "deploy.rst").read_text()

    assert float(composed.removesuffix("s")) > drained_seconds()
    assert float(re.findall(r"TimeoutStopSec=(\d+)", unit)[0]) > drained_seconds()
    assert drained_seconds() < ending.PATIENCE_SECONDS


@pytest.mark.parametrize("name", ["base", "overlays/cloud", "kserve"])
def test_archives_can_be_read_by_pods_on_several_nodes(name: str) -> None:
    resources = built(name)
    claim = resources["PersistentVolumeClaim"]
    spec = pod(resources)

    mounted = {volume["persistentVolumeClaim"]["claimName"] for volume in spec["volumes"] if "persistentVolumeClaim" in volume}
    fetched = {each["value"].removeprefix("pvc://") for each in spec["containers"][0]["env"] if each["name"] == "STORAGE_URI"}

    assert mounted | fetched == {claim["metadata"]["name"]}
    assert set(claim["spec"]["accessModes"]) <= {"ReadWriteMany", "ReadOnlyMany"}
