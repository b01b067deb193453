"""Ray Serve on this machine, asked through its proxy: ``make ray``. The Python of docs/triton.md, as it stands there."""

from __future__ import annotations

import re
import secrets
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray.serve", reason="Ray is not here: make ray")
import ray
import tritonclient.http as triton
from live_server import infer
from ray import serve
from set_models import JETS

from zoo.model.spec import TEST_TENSORS
from zoo.model.test_tensors import read_test_tensors
from zoo.serving import Session
from zoo.serving.server import create_app

CLIENT, ON_RAY = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[1] / "docs" / "triton.md").read_text(), re.DOTALL)
MODEL = "mlp-cmb-feature"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the page's deployment in a Ray of its own; gives ``host:port`` of Ray's proxy."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # or Ray writes one into the home folder
        # A busy machine starts Ray's agents later than Ray would wait.
        patch.setenv("RAY_agent_register_timeout_ms", "200000")
        patch.setenv("RAY_raylet_start_wait_time_s", "200")
        ray.init(num_cpus=2, include_dashboard=False, _temp_dir=str(tmp_path_factory.mktemp("r")))
        try:
            serve.start(http_options={"host": "127.0.0.1", "port": port})
            exec(compile(ON_RAY, "docs/triton.md", "exec"), {})
            yield f"127.0.0.1:{port}"
        finally:
            serve.shutdown()
            ray.shutdown()


@pytest.fixture(scope="module")
def spectra() -> np.ndarray:
    session = Session(MODEL)
    inputs, _ = read_test_tensors(session.folder.path(TEST_TENSORS), session.spec)["predict"]
    return inputs["spectrum"]


@pytest.mark.parametrize("rows", [1, 4])
def test_answers_are_those_of_a_session(address, spectra, rows):
    with triton.InferenceServerClient(address) as client:
        given = infer(client, MODEL, {"spectrum": spectra[:rows]}).as_numpy("probability")
    expected = Session(MODEL).run({"spectrum": spectra[:rows]})["probability"]
    np.testing.assert_array_equal(given, expected, strict=True)


def test_the_pages_client(address, capsys):
    exec(compile(CLIENT.replace("localhost:8000", address), "docs/triton.md", "exec"), {})
    assert len(capsys.readouterr().out.strip("[] \n").split()) == 3


def test_there_are_as_many_replicas_as_the_page_asks_for(address):
    deployment = serve.status().applications["default"].deployments["physzoo"]
    assert {state: number for state, number in deployment.replica_states.items() if number} == {"RUNNING": 2}


@pytest.mark.parametrize(
    ("model", "body", "status", "says"),
    [
        (MODEL, b"{", 400, "JSON"),
        (MODEL, b'{"inputs":[{"name":"spectrum","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]}', 400, "215"),
        ("no-such-model", b'{"inputs":[]}', 404, "no-such-model"),
    ],
)
def test_a_bad_request_is_refused_through_the_proxy(address, model, body, status, says):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://{address}/v2/models/{model}/infer", body)
    assert refused.value.code == status
    assert says in refused.value.read().decode()


def test_sets_of_any_length(address: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A second application beside the page's, behind the same proxy."""
    folder = JETS.write(tmp_path_factory.mktemp("sets") / JETS.name)
    replica = serve.deployment(serve.ingress(lambda: create_app([folder]))(), name="sets", ray_actor_options={"num_cpus": 0})
    serve.run(replica.bind(), name="sets", route_prefix="/sets")
    try:
        with triton.InferenceServerClient(f"{address}/sets") as client:
            for seed in range(5):
                inputs = JETS.draw(np.random.default_rng(seed), 3)
                tensors = [triton.InferInput("momenta", inputs["momenta"].shape, "FP32")]
                tensors.append(triton.InferInput("mask", inputs["mask"].shape, "BOOL"))
                for tensor in tensors:
                    tensor.set_data_from_numpy(inputs[tensor.name()])
                given = client.infer(JETS.name, tensors).as_numpy("mean")
                np.testing.assert_array_equal(given, Session(folder).run(inputs)["mean"], strict=True)
    finally:
        serve.delete("sets")
