"""Model repositories: Triton's layout and rules, versions that appear whole, and nothing of anyone else's touched."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from gpu_stand_in import gpus

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
triton = pytest.importorskip("tritonclient.grpc").model_config_pb2
from google.protobuf import text_format  # noqa: E402
from released_models import RELEASED, SMALLEST  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

import zoo  # noqa: E402
from zoo.cli import app  # noqa: E402
from zoo.errors import ExportError, FullDiskError, UnknownNameError, ZooError  # noqa: E402
from zoo.export import repository as repository_module  # noqa: E402
from zoo.export.kserve import inference_service  # noqa: E402
from zoo.export.model_config import check_config, model_config, read_config  # noqa: E402
from zoo.export.repository import add_to_repository  # noqa: E402
from zoo.model.axes import fixed_axes  # noqa: E402
from zoo.model.model_json import read_spec, write_spec  # noqa: E402
from zoo.model.spec import Endpoint, File, Tensor, onnx_file, wire_name  # noqa: E402
from zoo.model.store import locate  # noqa: E402
from zoo.model.test_tensors import read_test_tensors  # noqa: E402

TYPES = {"float32": "TYPE_FP32", "float64": "TYPE_FP64", "bool": "TYPE_BOOL", "int32": "TYPE_INT32", "int64": "TYPE_INT64"}
ENDPOINTS = [(name, endpoint) for name in RELEASED for endpoint in zoo.get_spec(name).endpoints]
ENDPOINTS_OF_FAMILIES = [
    pytest.param(*one, marks=[] if one[0] in SMALLEST else pytest.mark.slow, id="-".join(one)) for one in ENDPOINTS
]
"""Those of one model a family, and with the marker slow the others."""


@pytest.fixture(scope="module")
def everything(tmp_path_factory) -> Path:
    """A repository of every released model."""
    folder = tmp_path_factory.mktemp("repositories") / "models"
    for name in RELEASED:
        add_to_repository(name, folder)
    return folder


def files(folder: Path) -> dict[str, str]:
    """Every file below a folder and its sha256."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


@pytest.fixture
def own(tmp_path) -> Path:
    """A user's folder: the logistic classifier under another name and revision."""
    return own_folder(tmp_path / "own", revision="1")


def own_folder(path: Path, *, revision: str, name: str = "my-classifier", shift: float = 0.0) -> Path:
    released = locate("logistic-cmb-running")
    path.mkdir(parents=True)
    graph = onnx.load(released.path("predict.onnx"))
    graph.doc_string += f" shifted {shift}"
    onnx.save(graph, path / "predict.onnx")
    shutil.copyfile(released.path("test_tensors.npz"), path / "test_tensors.npz")
    kept = [File.of(path / file) for file in ("predict.onnx", "test_tensors.npz")]
    write_spec(path, released.spec.model_copy(update={"name": name, "revision": revision, "files": kept}))
    return path


def test_every_endpoint_is_a_model_under_its_name_on_the_wire(everything):
    folders = {path.name for path in everything.iterdir() if path.is_dir()}
    assert folders == {wire_name(name, endpoint) for name, endpoint in ENDPOINTS}
    assert [path.name for path in everything.parent.iterdir()] == ["models"]  # the staging folder is gone


@pytest.mark.parametrize(("name", "endpoint"), ENDPOINTS)
def test_triton_layout_and_config(everything, name, endpoint):
    """What Triton's documentation asks of a folder and its configuration, read with Triton's own message."""
    model, described = everything / wire_name(name, endpoint), zoo.get_spec(name).endpoints[endpoint]
    version = model / zoo.get_spec(name).revision
    assert (version / "model.onnx").read_bytes() == locate(name).path(onnx_file(endpoint)).read_bytes()
    config = text_format.Parse((model / "config.pbtxt").read_text(), triton.ModelConfig())
    assert (config.name, config.backend) == (model.name, "onnxruntime")
    assert config.max_batch_size >= (1 if name == "unet-displacement" else 8)  # its boxes may be of 128 cells a side
    assert config.HasField("dynamic_batching")
    assert config.version_policy.WhichOneof("policy_choice") == "all"
    assert [group.count for group in config.instance_group] == [1]
    for tensors, messages in ((described.inputs, config.input), (described.outputs, config.output)):
        assert [tensor.name for tensor in tensors] == [message.name for message in messages]
        for tensor, message in zip(tensors, messages, strict=True):
            assert message.data_type == triton.DataType.Value(TYPES[tensor.dtype])
            shape = [-1 if size is None else size for size in tensor.shape]
            assert list(message.dims) == (shape or [1])  # Triton takes no empty dims
            assert message.HasField("reshape") == (not tensor.shape)
    for tensor, message in zip(described.outputs, config.output, strict=True):
        labels = (model / message.label_filename).read_text().splitlines() if message.label_filename else None
        assert labels == tensor.labels
    check_config(model, version / "model.onnx")


@pytest.mark.parametrize(("name", "endpoint"), ENDPOINTS_OF_FAMILIES)
def test_warm_up_runs_as_triton_would_run_it(everything, name, endpoint):
    """Triton makes ``batch_size`` requests of one row from the file, and gives the graph its own shape."""
    model, described = everything / wire_name(name, endpoint), zoo.get_spec(name).endpoints[endpoint]
    session = ort.InferenceSession(next(model.glob("*/model.onnx")), providers=["CPUExecutionProvider"])
    tensors = {tensor.name: tensor for tensor in described.inputs}
    for sample in read_config(model).model_warmup:
        feeds = {}
        for tensor, given in sample.inputs.items():
            data = np.fromfile(model / "warmup" / given.input_data_file, tensors[tensor].dtype)
            shape = given.dims if tensors[tensor].shape else ()
            assert data.size == np.prod(given.dims)
            assert [size for size in tensors[tensor].shape if size] == [
                size for size, described in zip(shape, tensors[tensor].shape, strict=True) if described
            ]
            feeds[tensor] = np.repeat(data.reshape(1, *shape), sample.batch_size, axis=0)
        assert feeds.keys() == tensors.keys()
        assert all(np.isfinite(output).all() for output in session.run(None, feeds))


@pytest.mark.parametrize(("name", "endpoint"), ENDPOINTS_OF_FAMILIES)
def test_spec_and_test_tensors_lie_beside_the_graph(everything, name, endpoint):
    version = everything / wire_name(name, endpoint) / zoo.get_spec(name).revision
    spec, released = read_spec(version), zoo.get_spec(name)
    assert (spec.name, spec.revision, list(spec.endpoints)) == (name, released.revision, [endpoint])
    assert spec.endpoints[endpoint] == released.endpoints[endpoint]
    beside = [path for path in sorted(version.iterdir()) if path.name != "model.json"]
    assert [path.name for path in beside if path.name != "ranges.npz"] == ["model.onnx", "test_tensors.npz"]
    assert spec.files == [File.of(path) for path in beside]
    inputs, expected = read_test_tensors(version / "test_tensors.npz", spec)[endpoint]
    session = ort.InferenceSession(version / "model.onnx", providers=["CPUExecutionProvider"])
    for array, (tensor, wanted) in zip(session.run(list(expected), inputs), expected.items(), strict=True):
        np.testing.assert_allclose(array, wanted, spec.tolerance.relative, spec.tolerance.absolute, err_msg=tensor)
    with np.load(version / "test_tensors.npz") as stored:
        assert {key.split("/")[0] for key in stored.files} == {endpoint}


WITHOUT_KERAS = """
import sys
for package in ("tensorflow", "keras", "tf2onnx", "sklearn"):
    sys.modules[package] = None
from zoo.cli import main
sys.argv = ["zoo", "export", "ive-pendulum", "gbt-halo-mass", "--repository", sys.argv[1], "--storage-uri", "s3://bucket/models"]
main()
"""


def test_released_models_need_no_tensorflow(tmp_path):
    code = [sys.executable, "-c", WITHOUT_KERAS, str(tmp_path / "models")]
    ran = subprocess.run(code, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "added ive-pendulum.encode version 1 (revision 1)" in ran.stdout
    service = yaml.safe_load((tmp_path / "models" / "kserve.yaml").read_text())
    assert service["spec"]["predictor"]["model"]["storageUri"] == "s3://bucket/models"


def test_another_model_leaves_the_first_as_it_is(tmp_path, own):
    add_to_repository("mlp-cmb-feature", tmp_path / "models", storage_uri="pvc://claim/models")
    before = files(tmp_path / "models")
    (added,) = add_to_repository(own, tmp_path / "models")
    assert (added.model, added.version, added.revision) == ("my-classifier", 1, "1")
    after = files(tmp_path / "models")
    assert {name: after[name] for name in before} == before  # the storage address stays too


def test_versions_are_added_beside_each_other(tmp_path, own):
    models = tmp_path / "models"
    add_to_repository(own, models)
    config = models / "my-classifier" / "config.pbtxt"
    config.write_text(config.read_text().replace("count: 1\n}\ndynamic", "count: 4\n}\ndynamic"))  # tuned by hand
    before = files(models)
    for revision, version in (("2", 2), ("2.1", 3), ("7", 7)):
        (added,) = add_to_repository(own_folder(tmp_path / revision, revision=revision), models)
        assert (added.version, added.folder) == (version, models / "my-classifier" / str(version))
        assert read_spec(added.folder).revision == revision
    after = files(models)
    assert {name: after[name] for name in before} == before
    assert "count: 4" in config.read_text()


def test_older_revision_after_a_newer_one_is_refused(tmp_path, own):
    """Its number would be the highest, and Triton would serve it to everyone."""
    models = tmp_path / "models"
    add_to_repository(own_folder(tmp_path / "new", revision="1.2"), models)
    with pytest.raises(ExportError, match=r"revision 1.1 would be version 2 beside revision 1.2 as version 1"):
        add_to_repository(own_folder(tmp_path / "old", revision="1.1"), models)
    add_to_repository("logistic-cmb-running", models)


def test_a_version_is_not_overwritten_unless_told(tmp_path, own):
    models = tmp_path / "models"
    add_to_repository(own, models)
    before = files(models)
    with pytest.raises(ExportError, match=r"my-classifier@1 already: write it anew with overwrite=True"):
        add_to_repository(own, models)
    assert files(models) == before
    other = own_folder(tmp_path / "other", revision="1", shift=1.0)
    add_to_repository(other, models, overwrite=True)
    graph = "my-classifier/1/model.onnx"
    assert files(models)[graph] == File.of(other / "predict.onnx").sha256 != before[graph]
    assert files(models).keys() == before.keys()


def test_a_version_with_other_tensors_is_refused(tmp_path, own):
    models = tmp_path / "models"
    add_to_repository(own, models)
    config = models / "my-classifier" / "config.pbtxt"
    config.write_text(config.read_text().replace("dims: 215", "dims: 216", 1))
    with pytest.raises(ExportError, match="has other tensors than its configuration, which version 1 needs"):
        add_to_repository(own_folder(tmp_path / "next", revision="2"), models)


def test_what_is_not_ours_is_left_alone(tmp_path, own):
    models = tmp_path / "models"
    (models / "my-classifier" / "1").mkdir(parents=True)
    (models / "my-classifier" / "1" / "model.onnx").write_bytes(b"theirs")
    before = files(models)
    for overwrite in (False, True):
        with pytest.raises(ExportError, match="it is no model of ours"):
            add_to_repository(own, models, overwrite=overwrite)
    assert files(models) == before


def test_two_models_of_one_name_on_the_wire_are_refused(tmp_path):
    add_to_repository("ive-pendulum", tmp_path / "models", endpoints=["encode"])
    with pytest.raises(ExportError, match=r"holds ive-pendulum, encode: expected ive-pendulum.encode, predict"):
        add_to_repository(own_folder(tmp_path / "clash", revision="2", name="ive-pendulum.encode"), tmp_path / "models")


@pytest.mark.parametrize("fails", ["write_config", "check_config", "check_target", "_publish"])
def test_failure_midway_leaves_the_repository_as_it_was(tmp_path, own, monkeypatch, fails):
    models = tmp_path / "models"
    add_to_repository(own, models)
    before = files(tmp_path / "models")
    beside = sorted(path.name for path in tmp_path.iterdir())

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(repository_module, fails, full)
    for source in ("ive-pendulum", own_folder(tmp_path / "two" / "own", revision="2")):
        with pytest.raises(FullDiskError, match=r"models was not written: No space left.*bytes are needed and [\d,]+ are free"):
            add_to_repository(source, models)
    assert files(models) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*beside, "two"])


def test_a_version_that_appears_meanwhile_is_not_replaced(tmp_path, own, monkeypatch):
    models, build = tmp_path / "models", repository_module._build

    def slowly(*arguments):
        build(*arguments)
        if not models.exists():
            monkeypatch.setattr(repository_module, "_build", build)
            add_to_repository(own, models)

    monkeypatch.setattr(repository_module, "_build", slowly)
    with pytest.raises(ExportError, match="has appeared meanwhile"):
        add_to_repository(own, models)
    assert (models / "my-classifier" / "1" / "model.onnx").is_file()


def test_a_changed_graph_is_not_copied(tmp_path, own):
    (own / "predict.onnx").write_bytes((own / "predict.onnx").read_bytes() + b"\x00")
    with pytest.raises(ZooError, match="bytes, found"):
        add_to_repository(own, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_another_opset_is_converted_and_compared(tmp_path):
    pytest.importorskip("tensorflow")
    pytest.importorskip("tf2onnx")
    (added,) = add_to_repository("logistic-cmb-running", tmp_path / "models", opset=11)
    assert onnx.load(added.folder / "model.onnx").opset_import[0].version == 11
    assert read_spec(added.folder).export.opset == 11


def test_unknown_endpoint_and_bad_address(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean encode"):
        add_to_repository("ive-pendulum", tmp_path / "models", endpoints=["encod"])
    with pytest.raises(ExportError, match="expected an address such as s3"):
        add_to_repository("logistic-cmb-running", tmp_path / "models", storage_uri="my bucket")
    assert not (tmp_path / "models").exists()


def test_kserve_service_waits_for_an_address(tmp_path):
    add_to_repository("logistic-cmb-running", tmp_path / "My_Models.v2")
    service = yaml.safe_load((tmp_path / "My_Models.v2" / "kserve.yaml").read_text())
    assert service["metadata"]["name"] == "my-models-v2"
    model = service["spec"]["predictor"]["model"]
    assert (model["runtime"], model["protocolVersion"], model["storageUri"]) == (
        "kserve-tritonserver",
        "v2",
        "pvc://CLAIM/PATH",
    )


def test_kserve_knows_every_field_of_the_service():
    """Against its published schema, which refuses an unknown field, and the formats of its runtime for Triton."""
    known = json.loads(Path(__file__).with_name("kserve_fields.json").read_text())
    service = inference_service("models", "s3://bucket/models")
    predictor = service["spec"]["predictor"]
    model = predictor["model"]
    for name, given in (
        ("inference service", service),
        ("spec", service["spec"]),
        ("predictor", predictor),
        ("model", model),
        ("modelFormat", model["modelFormat"]),
        ("resources", model["resources"]),
    ):
        assert given.keys() <= set(known[name])
    assert model["modelFormat"]["version"] in known[f"formats of {model['runtime']}"][model["modelFormat"]["name"]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name: "my-classifier"', 'name: "other"', "expected the name of its folder, my-classifier, found 'other'"),
        ("dims: 215", "dims: 214", r"the graph model.onnx has \{'spectrum': \['TYPE_FP32', -1, 215\]\}"),
        ("data_type: TYPE_FP32", "data_type: TYPE_FP64", "describes as input .*TYPE_FP64"),
        ("input {", "inputt {", "is no model configuration"),
        ('label_filename: "probability_labels.txt"', 'label_filename: "config.pbtxt"', "expected 1 labels"),
        ('input_data_file: "spectrum"', 'input_data_file: "../config.pbtxt"', "expected 860 bytes, one row of spectrum"),
    ],
)
def test_a_configuration_that_does_not_fit_is_named(tmp_path, own, old, new, message):
    (added,) = add_to_repository(own, tmp_path / "models")
    config = tmp_path / "models" / "my-classifier" / "config.pbtxt"
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new, 1))
    with pytest.raises(ExportError, match=message):
        check_config(config.parent, added.folder / "model.onnx")


@pytest.mark.parametrize(("shape", "rows"), [([], 4096), ([215], 4096), ([24, 24, 24], 256), ([2048, 4096], 1)])
def test_the_largest_batch_stays_within_its_bytes(shape, rows):
    tensor = Tensor(name="x", axes=fixed_axes("x", shape), unit="1", description="x")
    scalar = Tensor(name="y", axes=fixed_axes("y", []), unit="1", description="y")
    config = model_config("m", "predict", Endpoint(description="d", inputs=[tensor], outputs=[scalar]))
    assert config.max_batch_size == rows
    assert [sample.batch_size for sample in config.model_warmup] == ([1, 32] if rows >= 32 else [1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--folder", "x"), "neither --format, --folder nor a --target"),
        (("--target", "web"), "neither --format, --folder nor a --target"),
        (("--format", "savedmodel"), "neither --format, --folder nor a --target"),
    ],
)
def test_options_that_do_not_go_together(tmp_path, arguments, message):
    command = ["export", "logistic-cmb-running", "--repository", str(tmp_path / "models"), *arguments]
    assert message in str(CliRunner().invoke(app, command).exception)


def test_options_that_need_a_repository_or_one_model(tmp_path):
    result = CliRunner().invoke(app, ["export", "logistic-cmb-running", "--storage-uri", "s3://a/b"])
    assert "--storage-uri goes with --repository" in str(result.exception)
    result = CliRunner().invoke(app, ["export", "logistic-cmb-running", "mlp-cmb-feature", "--folder", str(tmp_path / "x")])
    assert "--folder is the folder of one model" in str(result.exception)


def test_where_instances_run_is_measured_on_a_machine_with_a_gpu(own, tmp_path, monkeypatch) -> None:
    from zoo.serving import placement

    def kinds(folder: Path) -> set[str]:
        groups = read_config(folder / "my-classifier").instance_group
        return {triton.ModelInstanceGroup.Kind.Name(group.kind) for group in groups}

    add_to_repository(own, tmp_path / "without", instance_kind=placement.instance_kind)
    assert kinds(tmp_path / "without") == {"KIND_AUTO"}
    for faster, kind in (("cuda", "KIND_GPU"), ("cpu", "KIND_CPU")):
        took = lambda timed, rows, lengths, faster=faster: 1.0 if timed.device.kind == faster else 2.0  # noqa: E731
        monkeypatch.setattr(placement.Timed, "expected", took)
        with gpus(1):
            add_to_repository(own, tmp_path / faster, instance_kind=placement.instance_kind)
        assert kinds(tmp_path / faster) == {kind}


KILLED = """
import os, signal, sys
from pathlib import Path
from zoo import atomic
from zoo.errors import ExportError
from zoo.export import repository as module

root, exchanges = Path(sys.argv[1]), sys.argv[2] == "exchange"
if not exchanges:
    atomic.exchange = lambda one, other: False
models = root / "models"
version = models / "my-classifier" / "1"
old, new = (Path(path) for path in sys.argv[3:])


def make(source, step=None):
    # In a process that is killed before so many renames; whether it was.
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] != 0
    if step is not None:
        steps = iter(range(step))

        def hook(event, arguments):
            if event == "os.rename" and next(steps, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
    try:
        module.add_to_repository(source, models, overwrite=True)
    finally:
        os._exit(0)


def names():
    return sorted(path.name for path in root.iterdir()), sorted(path.name for path in (models / "my-classifier").iterdir())


def content():
    return tuple((version / name).read_bytes() for name in ("model.onnx", "model.json", "test_tensors.npz"))


wholes = []
for source in (old, new):
    make(source)
    wholes.append(content())
whole, clean = set(wholes), names()
assert len(whole) == 2
for step in range(40):
    make(old)
    assert content() == wholes[0]
    killed = make(new, step)
    assert not exchanges or content() in whole, (step, names())
    make(new)
    assert (content(), names()) == (wholes[1], clean), (step, names())
    if not killed:
        break
print(step)
"""


@pytest.mark.parametrize("how", ["exchange", "renames"])
def test_an_export_killed_at_each_rename(tmp_path, how):
    """The next export with overwrite puts back or replaces what is there, and nothing is left lying about."""
    sources = [own_folder(tmp_path / "sources" / str(shift) / "own", revision="1", shift=shift) for shift in (0.0, 1.0)]
    program = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path, how, *sources], capture_output=True, text=True, check=False
    )
    assert program.returncode == 0, program.stderr
    assert int(program.stdout) >= 8
