"""A KServe InferenceService that serves a model repository with Triton."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from zoo.atomic import whole_file
from zoo.errors import ExportError

KSERVE = "kserve.yaml"
UNFILLED = "pvc://CLAIM/PATH"
_HEAD = "# kubectl apply -f kserve.yaml, once storageUri says where this folder was copied to (zoo export ... --storage-uri).\n"


def check_address(storage_uri: str) -> None:
    """Refuse what is no address such as ``s3://bucket/models`` or ``pvc://claim/models``."""
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://\S+", storage_uri):
        raise ExportError(f"--storage-uri: expected an address such as s3://bucket/models, given {storage_uri!r}")


def write_kserve(repository: Path, storage_uri: str | None) -> Path:
    """Write ``kserve.yaml`` into a repository.

    Parameters
    ----------
    storage_uri : str, optional
        Address at which the cluster finds the repository; None keeps the address written there before, or leaves it to be
        filled.
    """
    path = repository / KSERVE
    if storage_uri is None:
        storage_uri = _storage_uri(path) or UNFILLED
    with whole_file(path, "w") as file:
        file.write(_HEAD + yaml.safe_dump(inference_service(repository.name, storage_uri), sort_keys=False))
    return path


def inference_service(name: str, storage_uri: str) -> dict[str, Any]:
    """The resource, whose name is made one that Kubernetes takes."""
    label = re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-") or "physzoo"
    model = {
        "modelFormat": {"name": "triton", "version": "2"},
        "runtime": "kserve-tritonserver",  # KServe's own ClusterServingRuntime, whose model store is the whole storageUri
        "protocolVersion": "v2",
        "storageUri": storage_uri,
        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": label if label[0].isalpha() else f"zoo-{label}"},
        "spec": {"predictor": {"model": model}},
    }


def _storage_uri(path: Path) -> str | None:
    try:
        return str(yaml.safe_load(path.read_text())["spec"]["predictor"]["model"]["storageUri"])
    except (FileNotFoundError, KeyError, TypeError, yaml.YAMLError):
        return None
