"""Jets that a model was not trained on, or that are none, in Keras, in a session and over the wire: refused or answered."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from live_server import running
from onnx import TensorProto, helper
from set_graphs import JET_REFUSALS, jet
from set_models import SetModel
from tiny_folder import make_model_folder

from zoo.data.jets.clouds import clouds
from zoo.data.jets.sample import load_sample
from zoo.errors import InputError
from zoo.model.axes import Axis
from zoo.model.card_sections import SECTIONS
from zoo.model.dtypes import NAMES
from zoo.model.inputs import InputCheck
from zoo.model.jet import Jet
from zoo.model.jet_check import REACH, measured, seen
from zoo.model.model_json import read_spec
from zoo.model.spec import Endpoint, Tensor
from zoo.serving import Session
from zoo.serving.server import Server

Arrays = dict[str, np.ndarray]
PARTICLE = Axis(name="particle", least=1, most=8)
MOMENTUM = Axis(name="momentum", size=3, labels=["pt", "y", "phi"], units=["GeV", "1", "rad"])
PARTICLES = Tensor(
    name="particles",
    axes=[PARTICLE, MOMENTUM],
    unit="GeV, 1, rad",
    description="momenta",
    mask="real",
    jet=Jet(radius=0.4, pt=(90, 110)),
)
IDENTITY = Tensor(
    name="identity", axes=[PARTICLE], dtype="int32", unit="1", description="PDG codes", values=[22, 211], mask="real"
)
REAL = Tensor(name="real", axes=[PARTICLE], dtype="bool", unit="1", description="which are particles")


def jets(*arguments, **how) -> Arrays:
    """Jets of two pions and a photon, as ``set_graphs.jet`` makes them."""
    made = jet(*arguments, **how)
    identity = np.tile(np.int32([211, 211, 22]), (len(made["real"]), 1))
    return {"particles": made["constituents"], "identity": identity, "real": made["real"]}


def summed(inputs: Arrays) -> Arrays:
    real = inputs["real"]
    photons = ((inputs["identity"] == 22) & real).sum(axis=1)
    return {"total": np.where(real, inputs["particles"][..., 0], 0).sum(axis=1), "photons": photons}


def drawn(random: np.random.Generator, rows: int) -> Arrays:
    return jets([64, 16, 16], 0.3, rows=rows)


TAGGER = SetModel(
    "tiny-jet-tagger",
    Endpoint(
        description="the scalar sum of transverse momenta, and the number of photons",
        inputs=[PARTICLES, IDENTITY, REAL],
        outputs=[
            Tensor(name="total", unit="GeV", description="sum"),
            Tensor(name="photons", dtype="int64", unit="1", description="photons"),
        ],
    ),
    [
        helper.make_node("Gather", ["particles", "first"], ["pt"], axis=2),
        helper.make_node("Where", ["real", "pt", "nothing"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["total"], keepdims=0),
        helper.make_node("Equal", ["identity", "photon"], ["alike"]),
        helper.make_node("And", ["alike", "real"], ["here"]),
        helper.make_node("Cast", ["here"], ["whole"], to=TensorProto.INT64),
        helper.make_node("ReduceSum", ["whole", "one"], ["photons"], keepdims=0),
    ],
    {"first": np.array(0), "one": np.array([1]), "nothing": np.float32(0), "photon": np.int32(22)},
    summed,
    drawn,
)


def changed(name: str, at: tuple[int, ...], value: float, inputs: Arrays) -> Arrays:
    inputs[name][at] = value
    return inputs


REFUSED: dict[str, tuple[Arrays, str]] = {
    **{
        case: (
            {"particles": given["constituents"], "identity": np.full_like(given["real"], 22, "i4"), "real": given["real"]},
            words.partition("{range}")[0],
        )
        for case, (given, words) in JET_REFUSALS.items()
    },
    "NaN": (changed("particles", (0, 1, 1), np.nan, jets([64, 16, 16])), "values are NaN or infinite, the first at (0, 1, 1)"),
    "unknown identity": (
        changed("identity", (0, 1), 111, jets([64, 16, 16])),
        "1 values are none of those that are known, the first at (0, 1): expected one of 22, 211, given 111",
    ),
    "more particles than the most": (
        {name: np.repeat(array, 3, axis=1) for name, array in jets([64, 16, 16]).items()},
        "expected shape (batch, particle 1-8, 3), given (1, 9, 3)",
    ),
    "azimuth in degrees": (
        changed("particles", (0, slice(None), 2), np.array([180.0, 175, 185]), jets([64, 16, 16])),
        "1 jets lie outside the trained range",
    ),
}

Ask = Callable[[Arrays], Arrays]


@pytest.fixture(scope="module")
def ways(tmp_path_factory) -> Iterator[dict[str, Ask]]:
    """Each way to an answer, which raises what the user sees."""
    folder = TAGGER.write(tmp_path_factory.mktemp("taggers") / TAGGER.name)
    server = Server([folder])

    def client(library, address: str) -> Ask:
        def ask(inputs: Arrays) -> Arrays:
            given = []
            for tensor in TAGGER.endpoint.inputs:
                array = inputs[tensor.name]
                given.append(library.InferInput(tensor.name, list(array.shape), NAMES[tensor.dtype].datatype))
                given[-1].set_data_from_numpy(array)
            with library.InferenceServerClient(address) as asked:
                answer = asked.infer(TAGGER.name, given)
            return {tensor.name: answer.as_numpy(tensor.name)[:, 0] for tensor in TAGGER.endpoint.outputs}

        return ask

    with running(server):
        yield {
            "session": Session(folder).run,
            "http": client(tritonclient.http, f"127.0.0.1:{server.port}"),
            "grpc": client(tritonclient.grpc, f"127.0.0.1:{server.grpc_port}"),
            "document": f"http://127.0.0.1:{server.port}",  # type: ignore[dict-item]
        }


@pytest.fixture(scope="module")
def network():
    """A network on clouds that takes what the graph takes."""
    pytest.importorskip("keras")
    from cloud_models import released

    model = released("pfn-id")
    described = model.spec.endpoints["predict"].model_copy(update={"inputs": TAGGER.endpoint.inputs})
    model.spec = model.spec.model_copy(update={"endpoints": {"predict": described}})
    return model.endpoint("predict")


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("way", ["keras", "session", "http", "grpc"])
def test_bad_jets_are_refused_with_the_same_words(ways, request, way: str, case: str):
    inputs, words = REFUSED[case]
    ask = request.getfixturevalue("network") if way == "keras" else ways[way]
    with pytest.raises(Exception, match="input") as refused:
        ask(inputs)
    said = str(refused.value).replace("'", "").replace("[", "(").replace("]", ")")
    assert words in said


@pytest.mark.parametrize("way", ["session", "http", "grpc"])
def test_what_is_answered(ways, way: str):
    """Order means nothing, a particle that is there twice counts twice, and neither no jets nor no particles is a fault."""
    ask, good = ways[way], jets([64, 16, 16], 0.3)
    order = [2, 0, 1]
    unsorted = {name: array[:, order] for name, array in good.items()}
    twice = {name: np.concatenate([array, array[:, 1:2]], axis=1) for name, array in jets([64, 8, 16], 0.3).items()}
    none = {name: np.zeros_like(np.repeat(array, 40, axis=0)) for name, array in good.items()}
    for inputs, total, photons in ((good, [96], [1]), (unsorted, [96], [1]), (twice, [96], [1]), (none, [0] * 40, [0] * 40)):
        answer = ask(inputs)
        assert answer["total"].tolist() == total
        assert answer["photons"].tolist() == photons
    empty = ask({name: array[:0] for name, array in good.items()})
    assert [len(array) for array in empty.values()] == [0, 0]
    assert ask(good)["total"] == 96, "the process lives"


def test_what_a_network_answers(network):
    good = jets([64, 16, 16], 0.3)
    expected = np.asarray(network(good)["probability"])
    unsorted = network({name: array[:, [2, 0, 1]] for name, array in good.items()})["probability"]
    np.testing.assert_allclose(np.asarray(unsorted), expected, rtol=1e-5)
    assert np.shape(network({name: array[:0] for name, array in good.items()})["probability"]) == (0, 1)
    assert np.isfinite(network({name: np.zeros_like(array) for name, array in good.items()})["probability"]).all()
    network(jets([100, 50, 50], 0.75), allow_out_of_range=True)
    with pytest.raises(InputError, match="padding is not real"):
        network(jets([60, 40, 0]), allow_out_of_range=True)


def test_the_example_of_the_document_is_a_jet(ways):
    with urllib.request.urlopen(f"{ways['document']}/openapi.json") as response:
        document = json.load(response)
    infer = document["paths"]["/v2/models/{name}/infer"]["post"]["requestBody"]["content"]["application/json"]
    body = json.dumps(infer["examples"][TAGGER.name]["value"]).encode()
    with urllib.request.urlopen(f"{ways['document']}/v2/models/{TAGGER.name}/infer", body) as response:
        assert json.load(response)["outputs"][0]["data"] == pytest.approx([100.0])


# -- the numbers that are looked at ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", ["quark-gluon", "multi"])
def test_jets_of_fastjet_are_seen_as_fastjet_saw_them(sample):
    """Their momenta and axes were FastJet's, of particles with mass; particles are stored about these axes."""
    packed, config = load_sample(sample)
    made = clouds(packed, np.arange(len(packed)))
    particles, real = (np.asarray(made[name][:]) for name in ("particles", "real"))
    pt, farthest = seen(particles, real)
    np.testing.assert_allclose(pt, packed.momentum[:, 0], rtol=1e-3)
    offsets = np.hypot(*packed.particles[:, 1:].astype(float).T)
    expected = np.maximum.reduceat(offsets, packed.offsets[:-1])
    np.testing.assert_allclose(farthest, expected, atol=4e-3)
    assert 1.2 * config.radius < farthest.max() < REACH * config.radius
    window = Jet(radius=config.radius, pt=(0.99 * config.pt[0], 1.01 * config.pt[1]))
    inputs = {"particles": particles, "real": real}
    checked(window)(inputs)
    for radius, words in ((config.radius / 2, "jets reach farther"), (config.radius * 2, "none of .* jets reaches as far")):
        with pytest.raises(InputError, match=words):
            checked(window.model_copy(update={"radius": radius}))(inputs)
        found = measured(window.model_copy(update={"radius": radius}), pt, farthest)
        assert found.radius == pytest.approx(config.radius, rel=0.07)
    for factor in (0.5, 2.0):
        with pytest.raises(InputError, match=f"{len(packed)} jets lie outside the trained range"):
            checked(window)({**inputs, "particles": particles * np.float32([factor, 1, 1])})


def checked(jets_: Jet) -> InputCheck:
    axes = [PARTICLE.model_copy(update={"most": 400}), MOMENTUM]
    tensor = PARTICLES.model_copy(update={"jet": jets_, "axes": axes})
    real = REAL.model_copy(update={"axes": axes[:1]})
    return InputCheck(Endpoint(description="", inputs=[tensor, real], outputs=[Tensor(name="y", unit="1", description="")]))


# -- the spec -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dtype": "float64"}, "expected float32 particles"),
        ({"mask": None}, "with a mask"),
        ({"axes": [PARTICLE]}, "expected float32 particles"),
        ({"axes": [PARTICLE, MOMENTUM.model_copy(update={"labels": ["pt", "eta", "phi"]})]}, "expected pt, y, phi of"),
        ({"axes": [PARTICLE, MOMENTUM.model_copy(update={"units": ["MeV", "1", "rad"]})]}, "expected GeV, 1, rad of particles"),
        ({"jet": {"radius": 0.4, "pt": [550, 500]}}, "the least first"),
        ({"jet": {"radius": 0, "pt": [500, 550]}}, "greater than 0"),
        ({"jet": {"radius": 0.4, "pt": [500, 550], "eta": 2}}, "Extra inputs"),
    ],
)
def test_a_spec_of_jets_is_one_of_particles(change, words):
    with pytest.raises(ValueError, match=words):
        Tensor.model_validate(PARTICLES.model_dump() | change)


def test_a_mask_of_jets_is_one_of_particles():
    real = REAL.model_copy(update={"axes": [PARTICLE, MOMENTUM]})
    with pytest.raises(ValueError, match="expected a mask of particles"):
        Endpoint(description="", inputs=[PARTICLES, real], outputs=[Tensor(name="y", unit="1", description="")])


@pytest.mark.parametrize("jet_", [PARTICLES.jet, None])
def test_the_page_beside_the_graph_of_an_experiment_says_which_jets(tmp_path, jet_):
    from zoo.export.experiments.athena import Athena
    from zoo.export.experiments.cloud import read_cloud
    from zoo.export.experiments.cmssw import Cmssw

    inputs = [PARTICLES.model_copy(update={"jet": jet_}), *TAGGER.endpoint.inputs[1:]]
    spec = make_model_folder(tmp_path, endpoints={"predict": TAGGER.endpoint.model_copy(update={"inputs": inputs})})
    cloud = read_cloud(spec, "cmssw")
    for form in (Cmssw(), Athena()):
        words = jet_.words if jet_ else "particles of a simulation, within the range on its card"
        text = form.files(cloud)["README.md"]
        assert f"- The model was trained on {words};\n  jets of another radius or momentum are not refused here." in text


def test_cards_and_tables_say_which_jets(tmp_path):
    from zoo.cli.tables import model_details

    spec = make_model_folder(tmp_path, endpoints={"predict": TAGGER.endpoint, "embed": TAGGER.endpoint})
    words = "anti-kt jets of radius 0.4 whose particles have 90 to 110 GeV of transverse momentum"
    assert read_spec(tmp_path).endpoint("predict").inputs[0].jet == Jet(radius=0.4, pt=(90, 110))
    assert SECTIONS["use"](spec, "mine").count(f"It was trained on {words}, and refuses others.") == 1
    assert any(
        words in str(cell)
        for table in model_details(spec)[1].renderables[1:]
        for column in table.columns
        for cell in column.cells
    )
