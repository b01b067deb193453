"""The server against schemathesis, from its own OpenAPI document with the names that it serves."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import tritonclient.http as triton
from live_server import infer, running
from set_models import MODELS
from triton_layout import write_repository

from zoo.serving.server import Server, Settings

# A request that fits the schema may still name another model's tensors: 400 is then right.
NOT_CHECKED = "positive_data_acceptance"
NAMES = sorted(["tiny", "tiny.encode", *MODELS])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("models")
    write_repository(folder, "1", "2", config="version_policy { all {} }")
    write_repository(folder, "1", endpoint="encode")
    for model in MODELS.values():
        model.write(folder / model.name)
    server = Server([folder], Settings(control="explicit"))
    with running(server) as address:
        for name in NAMES:
            urllib.request.urlopen(f"http://{address}/v2/repository/models/{name}/load", b"").close()
        yield address


def test_the_document_names_what_is_served(address: str) -> None:
    with urllib.request.urlopen(f"http://{address}/openapi.json") as response:
        document = json.load(response)
    name, version = document["paths"]["/v2/models/{name}/versions/{version}/infer"]["parameters"]
    assert name["schema"]["enum"] == NAMES
    assert version["schema"]["enum"] == ["1", "2"]
    example = document["paths"]["/v2/models/{name}/infer"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    for name, value in example.items():
        request = urllib.request.Request(f"http://{address}/v2/models/{name}/infer", json.dumps(value["value"]).encode())
        with urllib.request.urlopen(request) as response:
            assert response.status == 200


@pytest.mark.slow
def test_schemathesis(address: str, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis", reason="pip install schemathesis")
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        f"http://{address}/openapi.json",
        "--exclude-checks",
        NOT_CHECKED,
    ]
    command += ["--max-examples", "100", "--request-timeout", "10", "--generation-deterministic", "--no-color"]
    # Without these the names would be gone after the first call of unload.
    command += ["--exclude-path-regex", "repository/models"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]
    with triton.InferenceServerClient(address) as client:
        x = np.zeros((1, tiny_models.WIDTH), np.float32)
        np.testing.assert_allclose(infer(client, "tiny", {"spectrum": x}).as_numpy("probability"), 0.5)
