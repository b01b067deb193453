"""Models at hand: layouts, versions that come and go under load, and folders that are not what they should be."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
import tiny_models
import tritonclient.grpc
import tritonclient.http as triton
from gpu_stand_in import gpus
from live_server import infer, running
from onnx.external_data_helper import convert_model_to_external_data
from triton_layout import add_version, write_repository
from tritonclient.utils import InferenceServerException

from zoo.errors import IntegrityError, ReproductionError, ZooError
from zoo.model.model_json import read_spec, write_spec
from zoo.model.spec import TEST_TENSORS
from zoo.serving.graph import Graph
from zoo.serving.server import Server, Settings

WIDTH = tiny_models.WIDTH


def spectra(rows: int = 3) -> np.ndarray:
    return np.random.default_rng(rows).normal(size=(rows, WIDTH)).astype(np.float32)


def index(server: Server) -> dict[tuple[str, str], tuple[str, str]]:
    return {(row["name"], row["version"]): (row["state"], row["reason"]) for row in server.repository.index()}


def poll(server: Server) -> None:
    asyncio.run(server.repository.poll())


class TestLayouts:
    def test_a_folder_of_model_folders(self, tmp_path: Path) -> None:
        for name in ("one", "two"):
            tiny_models.write_tiny_model(tmp_path / name, name=name, endpoints=("predict",))
        assert index(Server([tmp_path])) == {("one", "3"): ("READY", ""), ("two", "3"): ("READY", "")}

    def test_a_readme_beside_the_models(self, tmp_path: Path) -> None:
        """And a folder with nothing but one."""
        write_repository(tmp_path, "1")
        (tmp_path / "notes").mkdir()
        for folder in (tmp_path, tmp_path / "notes"):
            (folder / "README.md").write_text("---\nlicense: mit\n---\n# Our models\n")
        assert index(Server([tmp_path])) == {("tiny", "1"): ("READY", "")}

    def test_one_model_in_the_layout_of_triton(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(write_repository(tmp_path, "1", "2"))
        assert index(Server(["."])) == index(Server([tmp_path / "tiny"])) == {("tiny", "2"): ("READY", "")}

    def test_no_model_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(IntegrityError, match="no model is in"):
            Server([tmp_path])
        assert index(Server([tmp_path], Settings(control="poll"))) == {}

    def test_triton(self, tmp_path: Path) -> None:
        write_repository(tmp_path, "1", "2")
        write_repository(tmp_path, "1", endpoint="encode")
        server = Server([tmp_path])
        assert list(index(server)) == [("tiny", "2"), ("tiny.encode", "1")]  # the latest, as in Triton
        with running(server) as address, triton.InferenceServerClient(address) as client:
            result = infer(client, "tiny", {"spectrum": spectra()})
            np.testing.assert_allclose(result.as_numpy("probability"), tiny_models.predict(spectra()), atol=1e-6)
            assert client.get_model_metadata("tiny")["versions"] == ["2"]
            assert client.get_model_config("tiny")["max_batch_size"] == 64
            assert not client.is_model_ready("tiny", "1")

    @pytest.mark.parametrize(
        ("policy", "versions"),
        [
            ("", ["10"]),
            ("version_policy { latest { num_versions: 2 } }", ["2", "10"]),
            ("version_policy { all {} }", ["1", "2", "10"]),
            ("version_policy { specific { versions: [1, 10] } }", ["1", "10"]),
        ],
    )
    def test_version_policies(self, tmp_path: Path, policy: str, versions: list[str]) -> None:
        write_repository(tmp_path, "1", "2", "10", config=policy)
        server = Server([tmp_path])
        assert server.repository.versions("tiny") == versions
        assert server.repository.find("tiny").version == "10"

    def test_batching_as_configured(self, tmp_path: Path) -> None:
        config = "dynamic_batching { max_queue_delay_microseconds: 700 }\ninstance_group [{ count: 3, kind: KIND_CPU }]"
        write_repository(tmp_path, "1", config=config)
        batcher = Server([tmp_path]).repository.find("tiny").batcher
        assert (batcher.policy.max_batch, batcher.policy.max_delay, batcher.groups[0].count) == (64, 0.0007, 3)

    def test_a_folder_by_its_plain_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever it is called and whichever of the two kinds it is; but a released name keeps its meaning, and is said."""
        monkeypatch.chdir(tmp_path)
        tiny_models.write_tiny_model(Path("one"), name="one", endpoints=("predict",))
        write_repository(Path("models"), "1")
        write_repository(Path("My Models 2"), "1", name="small")
        server = Server(["one", "models", "My Models 2"])
        assert [served.name for served in server.repository.loaded()] == ["one", "small", "tiny"]
        with pytest.raises(ZooError, match="no model named 'modells'"):
            Server(["modells"])
        Path("ive-pendulum").mkdir()
        with pytest.warns(UserWarning, match=r"to serve the folder of that name write '\./ive-pendulum'"):
            server = Server(["ive-pendulum"])
        assert server.repository.find("ive-pendulum").found.named

    @pytest.mark.parametrize("transport", [triton, tritonclient.grpc])
    def test_as_many_rows_as_the_configuration_allows(self, tmp_path: Path, transport: ModuleType) -> None:
        """max_batch_size 64 refuses 65 rows as Triton does; 0 there, or no configuration, bounds bytes alone."""
        for name, size in (("bound", 64), ("free", 0)):
            config = write_repository(tmp_path, "1", name=name) / "config.pbtxt"
            config.write_text(config.read_text().replace("max_batch_size: 64", f"max_batch_size: {size}"))
        tiny_models.write_tiny_model(tmp_path / "plain", name="plain", endpoints=("predict",))

        def ask(name: str, rows: int) -> None:
            tensor = transport.InferInput("spectrum", [rows, WIDTH], "FP32")
            tensor.set_data_from_numpy(spectra(rows))
            answer = client.infer(name, [tensor]).as_numpy("probability")
            np.testing.assert_allclose(answer, tiny_models.predict(spectra(rows)), atol=1e-6)

        grpc = transport is not triton
        with running(Server([tmp_path]), grpc=grpc) as address, transport.InferenceServerClient(address) as client:
            ask("bound", 64)
            ask("free", 65)
            ask("plain", 5000)
            with pytest.raises(InferenceServerException, match="bound: expected at most 64 rows in a request") as caught:
                ask("bound", 65)
            assert "given 65" in caught.value.message()
            assert caught.value.status() == ("StatusCode.INVALID_ARGUMENT" if grpc else "400")

    @pytest.mark.parametrize(
        ("device", "config", "expected"),
        [
            ("auto", "", ["cuda:0", "cuda:1", "cpu"]),
            ("cuda", "", ["cuda:0", "cuda:1"]),
            ("cpu", "", ["cpu"]),
            ("auto", "instance_group [{ kind: KIND_CPU }]", ["cpu"]),
            ("auto", "instance_group [{ kind: KIND_GPU }]", ["cuda:0", "cuda:1"]),
            ("cpu", "instance_group [{ kind: KIND_GPU, gpus: [1] }]", ["cuda:1"]),
        ],
    )
    def test_devices_as_told_and_as_configured(self, tmp_path: Path, device: str, config: str, expected: list[str]) -> None:
        write_repository(tmp_path, "1", config=config)
        with gpus(2):
            server = Server([tmp_path], Settings(device=device))
            with running(server) as address, triton.InferenceServerClient(address) as client:
                assert client.get_server_metadata()["devices"] == sorted(expected)
                groups = client.get_model_config("tiny")["instance_group"]
                assert ["KIND_CPU" if name == "cpu" else "KIND_GPU" for name in expected] == [g["kind"] for g in groups]
                assert [f"cuda:{number}" for g in groups for number in g.get("gpus", [])] == [n for n in expected if n != "cpu"]
                rows = np.linspace(-1, 1, 45, dtype=np.float32).reshape(9, 5)
                answer = infer(client, "tiny", {"spectrum": rows}).as_numpy("probability")
        np.testing.assert_allclose(answer, tiny_models.predict(rows), atol=1e-6)
        assert sum(server.repository.find("tiny").statistics.devices.values()) == 1


class TestRefusals:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_repository(tmp_path, "1")

    def refused(self, root: Path, words: str) -> None:
        with pytest.raises(IntegrityError, match=words):
            Server([root])
        server = Server([root], Settings(control="poll"))  # serves what it can
        assert words in " ".join(reason for _, reason in index(server).values())
        assert server.repository.loaded() == []

    def test_a_graph_of_another_hash(self, folder: Path) -> None:
        file = folder / "1" / "model.onnx"
        file.write_bytes(file.read_bytes() + b"\x00")
        self.refused(folder.parent, "model.onnx: expected")

    def test_a_configuration_that_is_none(self, folder: Path) -> None:
        (folder / "config.pbtxt").write_text("max_batch_size: {")
        self.refused(folder.parent, "config.pbtxt")

    def test_a_field_that_no_configuration_has(self, folder: Path) -> None:
        (folder / "config.pbtxt").write_text('name: "tiny"\nmax_batch_sizes: 8')
        self.refused(
            folder.parent, 'config.pbtxt: 2:1 : Message type "inference.ModelConfig" has no field named "max_batch_sizes"'
        )

    def test_every_field_that_triton_has(self, folder: Path) -> None:
        """Such as these, which this server has no use for."""
        with (folder / "config.pbtxt").open("a") as config:
            config.write(
                "sequence_batching { direct {} } optimization { cuda { graphs: true } } response_cache { enable: true }"
                ' parameters { key: "a" value { string_value: "b" } } model_warmup [{ name: "c" batch_size: 1 }]'
            )
        assert index(Server([folder.parent])) == {("tiny", "1"): ("READY", "")}

    @pytest.mark.parametrize("setting", ["max_batch_size: -1", "instance_group [{ count: -2 }]"])
    def test_numbers_that_make_no_sense(self, folder: Path, setting: str) -> None:
        (folder / "config.pbtxt").write_text(setting)
        self.refused(folder.parent, "that are not negative")

    def test_a_version_that_is_asked_for_and_not_there(self, folder: Path) -> None:
        add_version(folder, "2")
        (folder / "config.pbtxt").write_text("version_policy { specific { versions: [2, 9] } }")
        found = index(Server([folder.parent]))
        assert found["tiny", "2"] == ("READY", "")
        assert found["tiny", "9"][0] == "UNAVAILABLE"
        (folder / "config.pbtxt").write_text("version_policy { specific { versions: [9] } }")
        self.refused(folder.parent, "its version_policy names version 9")
        self.refused(folder.parent, "holds 1, 2")

    def test_a_configuration_of_another_model(self, folder: Path) -> None:
        (folder / "config.pbtxt").write_text('name: "other"')
        self.refused(folder.parent, "names the model 'other', its folder 'tiny'")

    def test_a_card_of_another_model(self, folder: Path) -> None:
        folder.rename(folder.with_name("small"))
        (folder.with_name("small") / "config.pbtxt").write_text("")
        self.refused(folder.parent, "expected the model of its folder, small")

    def test_no_spec(self, folder: Path) -> None:
        (folder / "1" / "model.json").unlink()
        self.refused(folder.parent, "model.json")

    def test_no_version(self, folder: Path) -> None:
        shutil.rmtree(folder / "1")
        self.refused(folder.parent, "holds no version")

    @pytest.mark.parametrize("link", ["1/model.onnx", "1"])
    def test_links_that_leave_the_folder(self, folder: Path, link: str, tmp_path_factory: pytest.TempPathFactory) -> None:
        outside = tmp_path_factory.mktemp("outside") / "target"
        shutil.move(folder / link, outside)
        (folder / link).symlink_to(outside)
        self.refused(folder.parent, "link that leaves the model's folder")

    def test_a_model_that_is_a_link(self, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
        outside = tmp_path_factory.mktemp("outside") / "tiny"
        shutil.move(folder, outside)
        folder.symlink_to(outside)
        self.refused(folder.parent, "is a link that leaves")

    def test_weights_in_other_files(self, tmp_path: Path) -> None:
        folder = tiny_models.write_tiny_model(tmp_path / "tiny", endpoints=("predict",))
        model = onnx.load(folder / "predict.onnx")
        convert_model_to_external_data(model, location="../../secret", size_threshold=0)
        (folder / "predict.onnx").write_bytes(model.SerializeToString())
        spec = read_spec(folder)
        write_spec(folder, spec.model_copy(update={"files": tiny_models.files_of(folder)}))
        with pytest.raises(IntegrityError, match="keeps weights in other files"):
            Server([folder])

    def test_two_models_of_one_name(self, folder: Path) -> None:
        with pytest.raises(ZooError, match="the name tiny"):
            Server([folder.parent, folder.parent])

    def test_a_copy_beside_a_model(self, tmp_path: Path) -> None:
        """Is reported under its folder, and neither stops the start nor what comes later."""
        for name in ("one", "one-copy"):
            tiny_models.write_tiny_model(tmp_path / name, name="one", endpoints=("predict",))
        server = Server([tmp_path], Settings(control="poll"))
        tiny_models.write_tiny_model(tmp_path / "two", name="two", endpoints=("predict",))
        poll(server)
        for served in (server, Server([tmp_path])):
            found = index(served)
            assert found["one", "3"] == found["two", "3"] == ("READY", "")
            assert "answer to the name one" in found[str(tmp_path / "one-copy"), "3"][1]
        kept = server.repository.find("one")
        tiny_models.write_tiny_model(tmp_path / "a-copy", name="one", endpoints=("predict",))
        poll(server)
        assert server.repository.find("one") is kept  # not the one whose folder happens to come first


def a_link_to_nowhere(root: Path) -> str:
    (root / "broken").symlink_to(root / "nothing")
    return "cannot be read"


def a_link_in_a_circle(root: Path) -> str:
    (root / "broken").symlink_to(root / "broken")
    return "cannot be read"


def a_graph_that_is_a_link_in_a_circle(root: Path) -> str:
    graph = write_repository(root, "1", name="broken") / "1" / "model.onnx"
    graph.unlink()
    graph.symlink_to(graph)
    return "cannot be read"


def a_pipe_for_a_configuration(root: Path) -> str:
    (root / "broken").mkdir()
    os.mkfifo(root / "broken" / "config.pbtxt")
    return "expected a plain file"


def a_pipe_for_a_spec(root: Path) -> str:
    described = write_repository(root, "1", name="broken") / "1" / "model.json"
    described.unlink()
    os.mkfifo(described)
    return "expected a plain file"


def an_endless_configuration(root: Path) -> str:
    (root / "broken").mkdir()
    (root / "broken" / "config.pbtxt").write_bytes(b"#" * (2**20 + 1))
    return "expected at most"


def a_spec_that_is_no_text(root: Path) -> str:
    (root / "broken").mkdir()
    (root / "broken" / "model.json").write_bytes(b"\xff{}")
    return "is not plain JSON"


def a_configuration_that_is_no_text(root: Path) -> str:
    (root / "broken").mkdir()
    (root / "broken" / "config.pbtxt").write_bytes(b"\xff{}")
    return "config.pbtxt"


def a_name_that_is_no_text(root: Path) -> str:
    odd = os.fsencode(root) + b"/broken\xff"
    os.mkdir(odd)
    Path(os.fsdecode(odd), "config.pbtxt").write_text("{")
    return "config.pbtxt"


def half_an_upload(root: Path) -> str:
    graph = write_repository(root, "1", name="broken") / "1" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:100])
    return "model.onnx: expected"


@pytest.mark.parametrize(
    "damage",
    [
        a_link_to_nowhere,
        a_link_in_a_circle,
        a_graph_that_is_a_link_in_a_circle,
        a_pipe_for_a_configuration,
        a_pipe_for_a_spec,
        an_endless_configuration,
        a_spec_that_is_no_text,
        a_configuration_that_is_no_text,
        a_name_that_is_no_text,
        half_an_upload,
    ],
)
def test_one_that_is_broken_leaves_the_others_alone(tmp_path: Path, damage: Callable[[Path], str]) -> None:
    """At the start and under poll: it is reported, what is new is served, what was removed is not, and a repair is seen."""
    folder = write_repository(tmp_path, "1")
    (tmp_path / "notes.txt").write_text("a stray file")
    os.mkfifo(tmp_path / "pipe")
    early = Server([tmp_path], Settings(control="poll"))
    words = damage(tmp_path)
    late = Server([tmp_path])
    poll(early)
    for server in (early, late):
        found = index(server)
        assert found.pop(("tiny", "1")) == ("READY", "")
        [(key, (state, reason))] = found.items()
        assert key[0].startswith("broken")
        assert state == "UNAVAILABLE"
        assert words in reason
        f"{key}{reason}".encode()
    write_repository(tmp_path, "1", endpoint="encode")
    shutil.rmtree(folder)
    poll(early)
    assert [served.name for served in early.repository.loaded()] == ["tiny.encode"]
    [broken] = tmp_path.glob("broken*")
    broken.unlink() if broken.is_symlink() else shutil.rmtree(broken)
    poll(early)
    assert index(early) == {("tiny.encode", "1"): ("READY", "")}


def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    """``lost+found``, and a model that a copy made unreadable: what is served of it stays, as its files are there."""
    root = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own folders are closed to others than their owner
    root.chmod(0o755)
    try:
        folder = tiny_models.write_tiny_model(root / "tiny")
        write_repository(root, "1", name="other")
        server = Server([root], Settings(control="poll"))
        (root / "lost+found").mkdir(mode=0o700)
        folder.chmod(0o000)
        shutil.rmtree(root / "other")
        with as_nobody():
            poll(server)
        found = index(server)
        assert found.pop(("lost+found", ""))[0] == "UNAVAILABLE"
        assert "Permission denied" in found.pop(("tiny", ""))[1]
        assert found == {("tiny", "3"): ("READY", ""), ("tiny.encode", "3"): ("READY", "")}
    finally:
        (root / "tiny").chmod(0o755)
        shutil.rmtree(root)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything; nobody may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_source_that_has_gone_does_not_hold_up_the_others(tmp_path: Path) -> None:
    one = tiny_models.write_tiny_model(tmp_path / "one", name="one", endpoints=("predict",))
    models = write_repository(tmp_path / "models", "1").parent
    server = Server([one, models], Settings(control="poll"))
    shutil.rmtree(one)
    write_repository(models, "1", endpoint="encode")
    poll(server)
    assert [served.name for served in server.repository.loaded()] == ["tiny", "tiny.encode"]
    assert "there is no such file or folder" in index(server)[str(one), ""][1]
    shutil.rmtree(models)
    poll(server)
    assert server.repository.loaded() == []


class TestChanges:
    def test_polling_adds_switches_and_retires(self, tmp_path: Path) -> None:
        folder = write_repository(tmp_path, "1")
        server = Server([tmp_path], Settings(control="poll"))
        assert server.repository.find("tiny").version == "1"
        kept = server.repository.find("tiny")
        poll(server)
        assert server.repository.find("tiny") is kept  # what did not change is not loaded again
        add_version(folder, "2")
        poll(server)
        assert server.repository.versions("tiny") == ["2"]
        write_repository(tmp_path, "7", endpoint="encode")
        shutil.rmtree(folder)
        poll(server)
        assert list(index(server)) == [("tiny.encode", "7")]

    def test_a_broken_new_version_leaves_the_old_one_in_service(self, tmp_path: Path) -> None:
        folder = write_repository(tmp_path, "1")
        server = Server([tmp_path], Settings(control="poll"))
        (folder / "2").mkdir()
        (folder / "2" / "model.onnx").write_bytes(b"half a co")
        poll(server)
        assert server.repository.versions("tiny") == ["1"]
        assert index(server)[("tiny", "2")][0] == "UNAVAILABLE"
        shutil.copytree(folder / "1", folder / "2", dirs_exist_ok=True)
        poll(server)
        assert server.repository.versions("tiny") == ["2"]
        assert list(index(server)) == [("tiny", "2")]

    def test_a_version_that_does_not_reproduce_its_test_tensors(self, tmp_path: Path) -> None:
        folder = write_repository(tmp_path, "1")
        server = Server([tmp_path], Settings(control="poll"))
        with np.load(folder / "1" / TEST_TENSORS) as stored:
            tensors = dict(stored)
        tensors["predict/out/probability"] += 0.1
        new = add_version(folder, "2")
        np.savez(new / TEST_TENSORS, **tensors)
        spec = read_spec(new)
        write_spec(new, spec.model_copy(update={"files": tiny_models.files_of(new)}))
        poll(server)
        assert server.repository.versions("tiny") == ["1"]
        assert "does not reproduce" in index(server)[("tiny", "2")][1]

    def test_a_graph_that_cannot_be_run_does_not_hold_up_the_others(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(self: Graph, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            if "spectrum" in arrays:
                raise RuntimeError("Non-zero status code returned while running Gather node")
            return run(self, arrays)

        run = Graph.run
        monkeypatch.setattr(Graph, "run", fails)
        server = Server([tmp_path], Settings(control="poll"))
        write_repository(tmp_path, "1")
        write_repository(tmp_path, "1", endpoint="encode")
        poll(server)
        for served in (server, Server([tmp_path])):
            assert index(served)[("tiny.encode", "1")] == ("READY", "")
            assert "cannot be run on its test tensors" in index(served)[("tiny", "1")][1]
        shutil.rmtree(tmp_path / "tiny.encode")
        with pytest.raises(ReproductionError, match="Gather"):  # nothing is left to serve
            Server([tmp_path])

    def test_a_repository_that_has_gone(self, tmp_path: Path) -> None:
        folder = write_repository(tmp_path / "models", "1").parent
        server = Server([folder], Settings(control="explicit"))
        shutil.rmtree(folder)
        with running(server) as address, triton.InferenceServerClient(address) as client:
            with pytest.raises(InferenceServerException, match="cannot be read") as caught:
                client.load_model("tiny")
            assert caught.value.status() == "400"

    def test_no_request_is_dropped_while_versions_change(self, tmp_path: Path) -> None:
        folder = write_repository(tmp_path, "1")
        server = Server([tmp_path], Settings(control="poll", poll=0.05))
        stop = threading.Event()
        versions: set[str] = set()
        failures: list[BaseException] = []

        def ask(address: str, rows: int) -> None:
            with triton.InferenceServerClient(address) as client:
                while not stop.is_set():
                    try:
                        result = infer(client, "tiny", {"spectrum": spectra(rows)})
                        np.testing.assert_allclose(
                            result.as_numpy("probability"), tiny_models.predict(spectra(rows)), atol=1e-6
                        )
                        versions.add(result.get_response()["model_version"])
                    except BaseException as error:
                        failures.append(error)
                        return

        with running(server) as address:
            threads = [threading.Thread(target=ask, args=(address, rows)) for rows in (1, 2, 30, 64)]
            for thread in threads:
                thread.start()
            for version in range(2, 8):
                add_version(folder, str(version), folder / str(version - 1))
                end = time.monotonic() + 120  # or it hangs
                while server.repository.find("tiny").version != str(version) and time.monotonic() < end:
                    time.sleep(0.01)
                time.sleep(0.05)
                shutil.rmtree(folder / str(version - 1))
            stop.set()
            for thread in threads:
                thread.join()
        assert failures == []
        assert {"1", "7"} <= versions

    def test_clients_load_and_unload(self, tmp_path: Path) -> None:
        folder = write_repository(tmp_path, "1")
        with (
            running(Server([tmp_path], Settings(control="explicit"))) as address,
            triton.InferenceServerClient(address) as client,
        ):
            assert client.get_model_repository_index() == [
                {"name": "tiny", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"}
            ]
            client.load_model("tiny")
            assert client.is_model_ready("tiny")
            client.load_model("tiny")  # nothing changed
            add_version(folder, "2")
            client.load_model("tiny")
            assert client.is_model_ready("tiny", "2")
            assert not client.is_model_ready("tiny", "1")
            client.unload_model("tiny")
            assert not client.is_model_ready("tiny")
            client.unload_model("tiny")  # as it is already
            with pytest.raises(InferenceServerException, match="no model in the repository named 'nobody'") as caught:
                client.unload_model("nobody")
            assert caught.value.status() == "404"
            for name, status in (("nobody", "404"), ("../tiny", "404"), ("%2e%2e%2ftiny", "404"), ("..", "404")):
                connection = http.client.HTTPConnection(address)
                connection.request("POST", f"/v2/repository/models/{name}/load", "{}")
                response = connection.getresponse()
                assert str(response.status) == status
                assert json.loads(response.read())["error"]
                connection.close()

    def test_loading_is_not_for_every_client(self, tmp_path: Path) -> None:
        write_repository(tmp_path, "1")
        with running(Server([tmp_path])) as address, triton.InferenceServerClient(address) as client:
            for call in (client.load_model, client.unload_model):
                with pytest.raises(Exception, match="--model-control explicit"):
                    call("tiny")
