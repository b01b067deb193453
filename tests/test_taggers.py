"""Taggers on particle clouds in the forms of CMSSW and Athena: what the graphs see, what they answer, and what is refused."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")
import onnx
from jet_variables import Particles, padded
from set_families import ENDPOINTS, SETS
from set_families import released as released_set
from tagger_models import CLASSES, KINDS, TAGGERS, endpoint, inputs_of, jets, tagger, write_folder

import zoo
from zoo.errors import ExportError, ParityError
from zoo.export import export
from zoo.export.experiments.athena import Athena
from zoo.export.experiments.cloud import read_cloud
from zoo.export.experiments.cmssw import Cmssw, preprocessed
from zoo.export.experiments.gate import check_tagger, jets_of
from zoo.export.experiments.nodes import front
from zoo.export.onnx import to_onnx
from zoo.export.parity import onnx_function
from zoo.export.targets import TARGETS, check
from zoo.model.axes import Axis
from zoo.model.spec import Endpoint

FORMS = {"cmssw": Cmssw(), "athena": Athena()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folder of a released model."""
    return write_folder("classes", tmp_path_factory.mktemp("taggers") / "model")


@functools.cache
def built(name: str, target: str):
    """A model, its cloud, and its graph in one form."""
    model, form = tagger(name), FORMS[target]
    cloud = read_cloud(model.spec, target)
    return model, cloud, form.graph(cloud, to_onnx(model, model.spec, "predict", form.opset(13)))


def run(graph: onnx.ModelProto):
    return onnx_function(graph.SerializeToString())


def shapes(values) -> dict[str, list[str | int]]:
    return {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}


def expected(name: str, seen: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Keras' probabilities of each class for momenta and codes of jets."""
    inputs = padded(seen)
    answer = np.asarray(tagger(name).answer(*(inputs[tensor.name] for tensor in endpoint(**TAGGERS[name]).inputs)))
    return np.concatenate([1 - answer, answer], axis=1) if answer.shape[1] == 1 else answer


def particles(name: str, n: int, seed: int = 0, size: int = 30) -> list[Particles]:
    given = jets(n, particles=size, seed=seed)
    return [Particles.of(given, row, masses=TAGGERS[name].get("identity", True)) for row in range(n)]


# -- CMSSW --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TAGGERS)
def test_cmssw_is_given_groups_of_channels_first_and_answers_as_keras(name):
    _, cloud, graph = built(name, "cmssw")
    described = json.loads(FORMS["cmssw"].files(cloud)["preprocess.json"])
    groups = {group: [1, len(described[group]["var_names"]), "particle"] for group in described["input_names"]}
    assert list(groups) == ["pf_points", "pf_features", "pf_mask"]
    assert ("pfcand_charge" in described["pf_features"]["var_names"]) == TAGGERS[name].get("identity", True)
    assert shapes(graph.graph.input) == groups
    assert shapes(graph.graph.output) == {"softmax": [1, max(2, TAGGERS[name].get("outputs", 1))]}
    answer, given = run(graph), particles(name, 60)
    found = np.concatenate([answer(preprocessed(described, one.cmssw()))["softmax"] for one in given])
    np.testing.assert_allclose(found, expected(name, [one.mirrored() for one in given]), atol=2e-5)


def test_preprocessing_is_cmssws():
    """As center_norm_pad: what is no number first becomes its replacement, which then is shifted, scaled and clamped."""
    info = {"median": 1.0, "norm_factor": 2.0, "replace_inf_value": 3.0, "lower_bound": -5.0, "upper_bound": 7.0, "pad": 0.5}
    described = {"input_names": ["g"], "g": {"var_names": ["a"], "min_length": 2, "max_length": 5, "var_infos": {"a": info}}}

    def of(*values: float) -> list[float]:
        return preprocessed(described, {"a": np.array(values)})["g"][0, 0].tolist()

    assert of() == [0.5, 0.5]
    assert of(2.0) == [2.0, 0.5]
    assert of(np.nan, np.inf, -1e33, 100, -100, 8) == [4.0, 4.0, 4.0, 7.0, -5.0]


def test_jets_without_particles_get_zeros_and_particles_without_momentum_are_left_out():
    _, cloud, graph = built("classes", "cmssw")
    described, answer = json.loads(FORMS["cmssw"].files(cloud)["preprocess.json"]), run(graph)
    one = next(jet for jet in particles("classes", 9) if len(jet.pt) > 4)
    nothing = preprocessed(described, {name: values[:0] for name, values in one.cmssw().items()})
    np.testing.assert_array_equal(answer(nothing)["softmax"], np.zeros((1, 5)))
    momenta, codes = one.mirrored()
    keep = np.arange(len(codes)) != 1
    for lost in (np.nan, -np.inf):
        filled = one.cmssw()
        filled["pfcand_pt_log"][1] = lost
        found = answer(preprocessed(described, filled))["softmax"]
        np.testing.assert_allclose(found, expected("classes", [(momenta[keep], codes[keep])]), atol=2e-5)
    masked = one.cmssw()
    masked["pfcand_mask"][1] = 0
    np.testing.assert_array_equal(answer(preprocessed(described, masked))["softmax"], found)


@pytest.mark.parametrize("kind", KINDS)
def test_identities_become_what_a_detector_tells_apart(kind):
    _, cloud, graph = built("binary", "cmssw")
    described = json.loads(FORMS["cmssw"].files(cloud)["preprocess.json"])
    one = Particles(np.array([9.0, 1.0]), np.array([0.4, -0.2]), np.array([3.1, -3.1]), np.array([kind, 22]))
    found = run(front(graph, ["identity", "particles"]))(preprocessed(described, one.cmssw()))
    known = {2112: 130, -2112: 130, 321: 211, -321: -211, 2212: 211, -2212: -211}
    assert found["identity"].tolist() == [[known.get(kind, kind), 22]]
    assert found["identity"].dtype == np.int32
    np.testing.assert_allclose(found["particles"][0], one.mirrored()[0], rtol=1e-5, atol=1e-5)


# -- Athena -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TAGGERS)
def test_athena_is_given_tracks_without_a_batch_and_answers_as_keras(name):
    """From no track to 39, as salt looks at, and more."""
    _, _cloud, graph = built(name, "athena")
    told = json.loads({entry.key: entry.value for entry in graph.metadata_props}["gnn_config"])
    (jet_inputs,), (tracks,) = told["inputs"], told["input_sequences"]
    names = [variable["name"] for variable in tracks["variables"]]
    assert {(v["offset"], v["scale"]) for v in (*tracks["variables"], *jet_inputs["variables"])} == {(0.0, 1.0)}
    assert shapes(graph.graph.input) == {"jet_features": [1, 2], "track_features": ["n_tracks", len(names)]}
    classes = CLASSES if name == "classes" else ["notgluon", "gluon"]
    outputs = [f"tiny{name}_p{label}" for label in classes]
    assert shapes(graph.graph.output) == {key: [] for key in outputs}
    assert told["outputs"] == {f"tiny{name}": {"labels": [f"p{label}" for label in classes], "node_index": 0}}
    assert graph.opset_import[0].version == 16
    answer, seen, found = run(graph), [], []
    for count in [*range(40), 80, 149]:
        one = Particles(*(values[:count] for values in vars(charged(name, count)).values()))
        variables, (eta, phi) = one.athena(), one.axis
        tracks = np.stack([variables[key] for key in names], axis=1)
        feed = {"jet_features": np.array([[1.0, eta]], "f4"), "track_features": tracks}
        scalars = answer(feed)
        assert {array.shape for array in scalars.values()} == {()}
        found.append([scalars[output] for output in outputs])
        mass = np.where(np.isin(np.abs(one.seen), (11, 13)), one.mass, 0.13957) if "leptonID" in names else 0.13957
        y = np.arcsinh(one.pz / np.sqrt(one.pt**2 + mass**2))
        seen.append((np.stack([one.pt, y, np.angle(np.exp(1j * (one.phi - phi)))], axis=-1), one.seen))
    np.testing.assert_allclose(found, expected(name, seen), atol=2e-5)


def charged(name: str, count: int) -> Particles:
    """At least so many charged particles."""
    rng = np.random.default_rng(count)
    kinds = [kind for kind in KINDS if abs(kind) in (11, 13, 211, 321, 2212)] if TAGGERS[name].get("identity", True) else [22]
    pt, y = rng.exponential(5.0, count) + 0.1, rng.normal(1.0, 0.4, count)
    return Particles(pt, y, rng.uniform(-np.pi, np.pi, count), rng.choice(kinds, count).astype(np.int32))


# -- export -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", FORMS)
def test_export_writes_the_tagger_beside_the_endpoints(folder, tmp_path, target):
    report = export(zoo.load(folder), tmp_path / "out", target=target, parity_rows=60)
    form, written = FORMS[target], tmp_path / "out" / target
    assert [parity.endpoint for parity in report.endpoints] == ["predict", f"{target}/{form.file}"]
    assert report.endpoints[1].outputs["probability"].rows == 60
    assert f"| {target}/{form.file} | probability | 60 |" in (tmp_path / "out" / "report.md").read_text()
    texts = {"preprocess.json", "README.md"} if target == "cmssw" else {"README.md"}
    assert {path.name for path in written.iterdir()} == {form.file, *texts}
    check(onnx.load(written / form.file), TARGETS[target], target, batch=False)
    assert all(word in (written / "README.md").read_text() for word in ("rapidity", "tiny-classes@1"))


def test_a_tagger_is_compared_with_the_model_at_all_lengths():
    given = inputs_of("binary", 16)
    made = jets_of(built("binary", "cmssw")[1], given, 80)
    assert {len(jet.momenta) for jet in made} >= {*range(41), 64, 128}


@pytest.mark.parametrize("target", FORMS)
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Asinh", "Identity", "sees .* as y of particle"),
        ("Tanh", "Sin", "differs from Keras"),
        ("Greater", "Less", "particles"),
    ],
)
def test_a_graph_that_sees_or_answers_otherwise_is_refused(target, old, new, message):
    model, cloud, graph = built("binary", target)
    wrong = onnx.ModelProto()
    wrong.CopyFrom(graph)
    node = next(node for node in wrong.graph.node if node.op_type == old)
    node.op_type = new
    with pytest.raises(ParityError, match=message):
        check_tagger(model, model.spec, cloud, FORMS[target], wrong, jets_of(cloud, inputs_of("binary", 16), 50))


def changed(**change: object) -> Endpoint:
    one = endpoint()
    first = one.inputs[0].model_copy(update=change)
    return one.model_copy(update={"inputs": [first, *one.inputs[1:]]})


COMPONENT = endpoint().inputs[0].axes[1]


@pytest.mark.parametrize(
    ("described", "message"),
    [
        (changed(mask=None), "expected a mask that says which of particles are real, given none; export without target="),
        (
            changed(axes=[endpoint().inputs[0].axes[0], COMPONENT.model_copy(update={"labels": ["pt", "eta", "phi"]})]),
            r"expected as the numbers of a particle pt \[GeV\], y \[1\], phi \[rad\], given pt \[GeV\], eta",
        ),
        (
            changed(axes=[endpoint().inputs[0].axes[0], COMPONENT.model_copy(update={"units": ["MeV", "1", "rad"]})]),
            r"given pt \[MeV\]",
        ),
        (ENDPOINTS["edge-network"]["predict"], "expected a jet as one free number of particles"),
        (
            endpoint().model_copy(
                update={"outputs": [endpoint().outputs[0].model_copy(update={"axes": [Axis(name="c", size=3)]})]}
            ),
            "expected the names of the classes as labels of probability",
        ),
    ],
)
def test_a_model_that_is_no_tagger_is_refused_in_words(described, message):
    spec = tagger("binary").spec.model_copy(update={"endpoints": {"predict": described}})
    with pytest.raises(ExportError, match=message):
        read_cloud(spec, "cmssw")


def test_lower_precision_is_refused_and_models_of_fixed_sizes_stay_as_they_were(folder, tmp_path):
    with pytest.raises(ExportError, match="a tagger for cmssw is written in float32"):
        export(zoo.load(folder), tmp_path / "out", target="cmssw", precision="int8")
    assert list(tmp_path.iterdir()) == []
    assert read_cloud(zoo.get_spec("ive-pendulum"), "cmssw") is None
    for family in SETS:
        with pytest.raises(ExportError, match="not for athena"):
            read_cloud(released_set(family).spec, "athena")
