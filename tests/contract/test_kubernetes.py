"""The Kubernetes manifests: what kustomize makes of them, held against Kubernetes' schemas, the image, and the server.

Kubernetes' own kinds are validated strictly. For ServiceMonitor, ServingRuntime and InferenceService, whose schemas
belong to their operators, the fields in use are listed here, and the pods inside them are validated as pods.
"""

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from server.edge.servicer import SERVICE
from server.settings import PREFIX, Settings, read

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
INSTALLED = ["overlays/cpu", "overlays/gpu"]
FIELDS_OF_OTHERS = {
    "ServiceMonitor": {"selector", "jobLabel", "endpoints"},
    "ServingRuntime": {"supportedModelFormats", "protocolVersions", "containers", "volumes"},
    "InferenceService": {"predictor"},
}
FIELDS_OF_PREDICTORS = {"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "timeout", "model"}
FIELDS_OF_PODS = {"terminationGracePeriodSeconds", "enableServiceLinks", "containers", "volumes"}
FIELDS_OF_MODELS = {"modelFormat", "protocolVersion", "runtime", "storageUri"}

overlays = pytest.mark.parametrize("overlay", INSTALLED)


@pytest.mark.parametrize("folder", [*INSTALLED, "kserve"])
def test_manifests_are_what_kubernetes_takes(folder: str, tmp_path) -> None:
    documents = [as_pod(document) if document["kind"] in FIELDS_OF_OTHERS else document for document in made(folder)]
    validate([document for document in documents if document], tmp_path)


@overlays
def test_a_misspelt_field_would_not_pass(overlay: str, tmp_path) -> None:
    deployment = dict(the(overlay, "Deployment"), spec={**the(overlay, "Deployment")["spec"], "replica": 2})
    with pytest.raises(AssertionError, match="replica"):
        validate([deployment], tmp_path)


@pytest.mark.parametrize("folder", [*INSTALLED, "kserve"])
def test_kinds_of_others_have_only_fields_that_those_know(folder: str) -> None:
    for document in made(folder):
        if document["kind"] in FIELDS_OF_OTHERS:
            assert set() == set(document["spec"]) - FIELDS_OF_OTHERS[document["kind"]]
    if folder == "kserve":
        predictor = the(folder, "InferenceService")["spec"]["predictor"]
        assert set() == set(predictor) - FIELDS_OF_PREDICTORS - FIELDS_OF_PODS
        assert set() == set(predictor["model"]) - FIELDS_OF_MODELS


@overlays
def test_pods_are_restricted(overlay: str) -> None:
    """Kubernetes' Pod Security Standards, level restricted, and a root that nobody writes."""
    pod = pod_of(overlay)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert restricted(container["securityContext"])
    assert {"emptyDir"} == {kind for volume in pod["volumes"] for kind in volume if kind != "name"}


def test_pods_of_kserve_are_restricted() -> None:
    (container,) = the("kserve", "ServingRuntime")["spec"]["containers"]
    assert container["securityContext"]["runAsNonRoot"] is True
    assert restricted(container["securityContext"])


@overlays
def test_pods_run_as_the_images_user(overlay: str) -> None:
    (user,) = re.findall(r"(?m)^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text())
    context = pod_of(overlay)["securityContext"]
    assert (str(context["runAsUser"]), str(context["runAsGroup"])) == user


@overlays
def test_pods_have_the_time_that_their_drain_may_take(overlay: str) -> None:
    pod = pod_of(overlay)
    (container,) = pod["containers"]
    command, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    drain = float(settings(container)["VAESERVE_DRAIN_DELAY"]) + float(settings(container)["VAESERVE_DRAIN_SECONDS"])
    assert pod["terminationGracePeriodSeconds"] > float(seconds) + drain


def test_pods_of_kserve_have_the_time_that_their_drain_may_take() -> None:
    (container,) = the("kserve", "ServingRuntime")["spec"]["containers"]
    drain = float(settings(container)["VAESERVE_DRAIN_DELAY"]) + float(settings(container)["VAESERVE_DRAIN_SECONDS"])
    assert the("kserve", "InferenceService")["spec"]["predictor"]["terminationGracePeriodSeconds"] > drain


@overlays
def test_probes_ask_the_servers_health(overlay: str) -> None:
    (container,) = pod_of(overlay)["containers"]
    assert container["readinessProbe"]["grpc"] == {"port": Settings().port, "service": SERVICE}
    assert container["startupProbe"]["grpc"] == {"port": Settings().port}


@overlays
def test_a_leaving_pod_is_noticed_while_it_still_serves(overlay: str) -> None:
    (container,) = pod_of(overlay)["containers"]
    probe = container["readinessProbe"]
    noticed = probe["periodSeconds"] * probe["failureThreshold"]
    assert noticed < float(settings(container)["VAESERVE_DRAIN_DELAY"])


@pytest.mark.parametrize("folder", [*INSTALLED, "kserve"])
def test_pods_are_given_only_settings_that_exist_and_values_that_it_takes(folder: str) -> None:
    pods = [the(folder, "ServingRuntime")["spec"]] if folder == "kserve" else [pod_of(folder)]
    for pod in pods:
        for container in pod["containers"]:
            read([], {name: value for name, value in settings(container).items() if name.startswith(PREFIX)})


@overlays
def test_a_service_does_not_become_a_setting(overlay: str) -> None:
    assert pod_of(overlay)["enableServiceLinks"] is False


@overlays
def test_every_selector_finds_the_pods(overlay: str) -> None:
    labels = the(overlay, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    selectors = [document["spec"]["selector"] for document in made(overlay) if document["kind"] == "Service"]
    selectors += [the(overlay, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]]
    selectors += [the(overlay, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]]
    assert all(selector and selector.items() <= labels for selector in selectors)


@overlays
def test_clients_may_balance_by_name(overlay: str) -> None:
    headless = [s["metadata"]["name"] for s in made(overlay) if s.get("spec", {}).get("clusterIP") == "None"]
    assert headless == ["vaeserve-headless"]


@overlays
def test_every_pod_is_scraped_once_under_the_job_that_rules_look_for(overlay: str) -> None:
    monitor = the(overlay, "ServiceMonitor")["spec"]
    wanted = monitor["selector"]["matchLabels"].items()
    scraped = [s for s in made(overlay) if s["kind"] == "Service" and wanted <= s["metadata"]["labels"].items()]
    (service,) = scraped
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "vaeserve"
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}


@overlays
def test_more_servers_come_when_rows_wait_and_before_they_are_refused(overlay: str) -> None:
    scaler = the(overlay, "HorizontalPodAutoscaler")["spec"]
    (rows,) = [metric["pods"] for metric in scaler["metrics"] if metric["type"] == "Pods"]
    assert rows["metric"]["name"] == "vae_queue_rows"
    assert int(rows["target"]["averageValue"]) < Settings().max_queue_rows
    assert scaler["scaleTargetRef"]["name"] == the(overlay, "Deployment")["metadata"]["name"]
    assert "replicas" not in the(overlay, "Deployment")["spec"]


def test_only_the_gpu_overlay_asks_for_a_gpu() -> None:
    gpus = {
        overlay: pod_of(overlay)["containers"][0]["resources"]["limits"].get("nvidia.com/gpu") for overlay in INSTALLED
    }
    assert gpus == {"overlays/cpu": None, "overlays/gpu": "1"}
    assert settings(pod_of("overlays/gpu")["containers"][0])["VAESERVE_DEVICE"] == "cuda"


@cache
def made(folder: str) -> list[dict[str, Any]]:
    """What kustomize makes of a folder."""
    command = [Path(sys.executable).with_name("kubectl"), "kustomize", KUBERNETES / folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(YAML(typ="safe").load_all(done.stdout))


def the(folder: str, kind: str) -> dict[str, Any]:
    (document,) = [document for document in made(folder) if document["kind"] == kind]
    return document


def pod_of(overlay: str) -> dict[str, Any]:
    return the(overlay, "Deployment")["spec"]["template"]["spec"]


def as_pod(document: dict[str, Any]) -> dict[str, Any] | None:
    """The pod that somebody else's kind becomes; None if it becomes none."""
    specification = {**document["spec"], **document["spec"].get("predictor", {})}
    fields = {name: value for name, value in specification.items() if name in FIELDS_OF_PODS}
    if not fields:
        return None
    fields.setdefault("containers", [{"name": "kserve-container"}])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": document["metadata"]["name"]}, "spec": fields}


def validate(documents: list[dict[str, Any]], folder: Path) -> None:
    path = folder / "manifests.yaml"
    path.write_text("\n---\n".join(json.dumps(document) for document in documents))  # JSON is YAML
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Couldn't find schema" not in done.stdout + done.stderr


def settings(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container["env"]}


def restricted(context: dict[str, Any]) -> bool:
    return (
        context["allowPrivilegeEscalation"] is False
        and context["readOnlyRootFilesystem"] is True
        and context["capabilities"] == {"drop": ["ALL"]}
    )
