"""An exported folder of two small graphs of sets, written without TensorFlow: particles with a mask, and a graph with edges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from tiny_folder import make_model_folder

from zoo.export.client_files import write_client_files
from zoo.model.axes import Axis
from zoo.model.jet import Jet
from zoo.model.pdg_codes import SIGNED
from zoo.model.spec import TEST_TENSORS, Endpoint, Tensor

NAME = "tiny-sets"
PARTICLE = Axis(name="particle", least=1, most=8)
FEATURE = Axis(name="feature", size=3, labels=["pt", "eta", "phi"], units=["GeV", "1", "rad"])
NODE, EDGE = Axis(name="node", least=1, most=6), Axis(name="edge", least=1, most=12)
POSITION, END = Axis(name="position", size=2), Axis(name="end", size=2)

POOL = Endpoint(
    description="Sums over the particles that are real",
    inputs=[
        Tensor(
            name="particles",
            axes=[PARTICLE, FEATURE],
            unit="pt in GeV, eta, phi in rad",
            description="",
            low=[0.5, -3.0, -3.2],
            high=[100.0, 3.0, 3.2],
            mask="mask",
        ),
        Tensor(name="mask", axes=[PARTICLE], dtype="bool", unit="1", description="which particles are real"),
    ],
    outputs=[
        Tensor(name="sums", axes=[FEATURE], unit="pt in GeV, eta, phi in rad", description=""),
        Tensor(name="kept", axes=[PARTICLE, FEATURE], unit="pt in GeV, eta, phi in rad", description="", mask="mask"),
        Tensor(name="count", dtype="int64", unit="1", description="real particles"),
        Tensor(name="soft", axes=[PARTICLE], dtype="bool", unit="1", description="pt below 2 GeV"),
    ],
)
MOMENTUM = Axis(name="momentum", size=3, labels=["pt", "y", "phi"], units=["GeV", "1", "rad"])
TAG = Endpoint(
    description="Counts the particles of a jet",
    inputs=[
        Tensor(
            name="constituents",
            axes=[PARTICLE, MOMENTUM],
            unit="pt in GeV, y, phi in rad",
            description="",
            mask="real",
            jet=Jet(radius=0.4, pt=(90, 110)),
        ),
        Tensor(
            name="identity",
            axes=[PARTICLE],
            dtype="int32",
            unit="1",
            description="PDG code",
            values=[22, *SIGNED.tolist(), *(-SIGNED).tolist()],
            mask="real",
        ),
        Tensor(name="real", axes=[PARTICLE], dtype="bool", unit="1", description="which constituents are real"),
    ],
    outputs=[Tensor(name="multiplicity", dtype="int64", unit="1", description="real constituents")],
)
CONNECT = Endpoint(
    description="Differences along the edges of a graph",
    inputs=[
        Tensor(
            name="nodes", axes=[NODE, POSITION], dtype="float64", unit="Mpc", description="", low=-1e100, high=1e100, whole=[1]
        ),
        Tensor(name="edges", axes=[EDGE, END], dtype="int64", unit="1", description="from, to", index_of="node"),
        Tensor(name="charges", axes=[NODE], dtype="int32", unit="e", description="", values=[2, 1, 0, -1, -2]),
    ],
    outputs=[
        Tensor(
            name="steps", axes=[EDGE, POSITION], dtype="float64", unit="Mpc", description="", low=-100, high=100, guards=True
        ),
        Tensor(name="charge", dtype="int32", unit="e", description="their sum"),
    ],
)
_PARTICLES = "input particles: expected shape (batch, particle 1-8, 3), given"
_OUTSIDE = "lie outside the trained range, the first at"
_CHECK = "; check the units, or extrapolate with {range}"
_INFINITE = "values are NaN or infinite, the first at"
_POSITIONS = "input edges: expected positions from 0 to 2 along the axis node, given"
REFUSALS = {
    "real out of range": f"input particles: 1 values {_OUTSIDE} (0, 1, 0): expected 0.5 to 100 GeV, given 0{_CHECK}",
    "unit of the element": f"input particles: 1 values {_OUTSIDE} (0, 1, 2): expected -3.2 to 3.2 rad, given -4{_CHECK}",
    "NaN in padding": f"input particles: 1 {_INFINITE} (0, 1, 1); fill the padding with zeros; {{finite}} lets them through",
    "too many": f"{_PARTICLES} (1, 9, 3)",
    "too few": f"{_PARTICLES} (1, 0, 3)",
    "lengths": "input mask: expected 3 along the axis particle, as in input particles, given 2",
    "position too far": f"{_POSITIONS} 3 at (0, 1, 1)",
    "position below zero": f"{_POSITIONS} -1 at (0, 1, 1)",
    "whole number out of range": "input charges: 1 values are none of those that are known, the first at (0, 0): expected one"
    " of -2, -1, 0, 1, 2, given 5; check the codes, or answer as for something unknown with {range}",
    "double out of range": f"input nodes: 1 values {_OUTSIDE} (0, 0, 0): expected -1e+100 to 1e+100 Mpc, given 1e+101{_CHECK}",
    "fraction": "input nodes: expected whole numbers, as in the simulations, given 0.5 at (0, 0, 1): give the counts"
    " themselves, not a rate or what is left after a background is subtracted, or let it through with {range}",
    "codes of one sign": "input identity: expected signed PDG codes, such as 211 for a pi+ and -211 for a pi-, given 42 of"
    " charged hadrons and neutrons, of which none is negative: give each its sign; {range} takes them all the same",
    "double NaN": f"input nodes: 1 {_INFINITE} (0, 0, 0); {{finite}} lets them through",
    "answer that guards": f"output steps: 2 values {_OUTSIDE} (0, 0, 0): expected -100 to 100 Mpc, found -999, since the inputs"
    " of row 0 are together unlike any that was trained; give others, or extrapolate with {range}",
}
"""What every language says of what it refuses, but for the name of the option that lets it through."""


def jet(pt: Sequence[float], spread: float = 0.1, rows: int = 1, code: int = 22) -> dict[str, np.ndarray]:
    """Jets of three particles, of which the last two lie on either side of the axis in azimuth, beyond pi the one."""
    momenta = np.array([[pt[0], 1.0, np.pi], [pt[1], 1.0, spread - np.pi], [pt[2], 1.0, np.pi - spread]], "f4")
    real = np.ones((rows, 3), bool)
    return {"constituents": np.tile(momenta, (rows, 1, 1)), "identity": np.full(real.shape, code, "i4"), "real": real}


_JETS = (
    "jets lie outside the trained range, the first in row 0: expected 90 to 110 GeV of transverse momentum, that of the sum of"
)
_LETS = ", or extrapolate with {range}"
_CLUSTER = "as of anti-kt jets of radius 0.4, given {given}; cluster with that radius" + _LETS
JET_REFUSALS = {
    "padding that is real": (
        jet([60, 40, 0]),
        "1 elements are real and have no transverse momentum, the first at (0, 2): expected above 0 GeV where real is true,"
        " given 0; padding is not real",
    ),
    "jet of another momentum": (
        jet([100, 50, 50], 0.0),
        f"1 {_JETS} the particles, given 200; check the units{_LETS}",
    ),
    "jet in MeV": (
        jet([60e3, 20e3, 20e3], 0.0),
        f"1 {_JETS} the particles, given 100000, as if in MeV; check the units{_LETS}",
    ),
    "jet in TeV": (
        jet([0.05, 0.025, 0.025], 0.0),
        f"1 {_JETS} the particles, given 0.1, as if in TeV or relative to the jet; check the units{_LETS}",
    ),
    "jet of a larger radius": (
        jet([80, 10, 10], 0.75),
        "1 jets reach farther than those of the training, the first in row 0: expected particles within 0.64 of the axis, "
        + _CLUSTER.replace("{given}", "one at 0.75"),
    ),
    "jets of a smaller radius": (
        jet([80, 10, 10], 0.25, rows=30),
        "none of 30 jets reaches as far as those of the training: expected particles beyond 0.3 from the axis, "
        + _CLUSTER.replace("{given}", "at most 0.25"),
    ),
}
"""Jets that every language refuses, each of three particles of ``TAG``, and what it says of them."""
JET_WORDS = {case: f"input constituents: {words}" for case, (_, words) in JET_REFUSALS.items()}
_DTYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}


def set_folder(folder: Path) -> Path:
    """Write the folder: card, graphs, test tensors and what clients read."""
    spec = make_model_folder(folder, name=NAME, files={}, endpoints={"pool": POOL, "connect": CONNECT, "tag": TAG})
    one, last, first = (_constant(name, value) for name, value in (("one", [1]), ("last", [2]), ("first", [0])))
    _write(
        folder,
        "pool",
        POOL,
        [
            helper.make_node("Unsqueeze", ["mask", "last"], ["of_each"]),
            helper.make_node("Where", ["of_each", "particles", "zero"], ["kept"]),
            helper.make_node("ReduceSum", ["kept", "one"], ["sums"], keepdims=0),
            helper.make_node("Cast", ["mask"], ["whole"], to=TensorProto.INT64),
            helper.make_node("ReduceSum", ["whole", "one"], ["count"], keepdims=0),
            helper.make_node("Gather", ["particles", "pt"], ["pts"], axis=2),
            helper.make_node("Less", ["pts", "two"], ["soft"]),
        ],
        [one, last, _constant("zero", np.float32(0)), _constant("pt", np.int64(0)), _constant("two", np.float32(2))],
    )
    _write(
        folder,
        "connect",
        CONNECT,
        [
            *(
                node
                for end in ("first", "one")
                for node in (
                    helper.make_node("Gather", ["edges", end], [f"{end}_ends"], axis=2),
                    helper.make_node("GatherND", ["nodes", f"{end}_ends"], [f"{end}_nodes"], batch_dims=1),
                )
            ),
            helper.make_node("Sub", ["one_nodes", "first_nodes"], ["steps"]),
            helper.make_node("ReduceSum", ["charges", "one"], ["charge"], keepdims=0),
        ],
        [one, first],
    )
    _write(
        folder,
        "tag",
        TAG,
        [
            helper.make_node("ReduceMax", ["constituents"], ["hardest"], axes=[2], keepdims=0),
            helper.make_node("Cast", ["hardest"], ["any"], to=TensorProto.BOOL),
            helper.make_node("And", ["any", "real"], ["both"]),
            helper.make_node("Cast", ["both"], ["whole"], to=TensorProto.INT64),
            helper.make_node("ReduceSum", ["whole", "one"], ["multiplicity"], keepdims=0),
        ],
        [one],
    )
    np.savez(folder / TEST_TENSORS, **_test_tensors())
    write_client_files(folder, spec)
    return folder


def _test_tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    particles = rng.uniform([0.5, -3, -3], [10, 3, 3], (4, 5, 3)).astype("f4")
    mask = np.arange(5) < np.array([[5], [3], [1], [4]])
    particles[~mask] = 0
    nodes, charges = rng.normal(size=(4, 3, 2)), rng.integers(-2, 3, (4, 3), dtype="i4")
    edges = rng.integers(0, 3, (4, 7, 2), dtype="i8")
    jets = jet([50.0, 30.0, 20.0], rows=4)
    ends = [np.take_along_axis(nodes, edges[:, :, end, None], axis=1) for end in (0, 1)]
    return {
        "pool/in/particles": particles,
        "pool/in/mask": mask,
        "pool/out/sums": particles.sum(axis=1),
        "pool/out/kept": particles,
        "pool/out/count": mask.sum(axis=1),
        "pool/out/soft": particles[:, :, 0] < 2,
        **{f"tag/in/{name}": array for name, array in jets.items()},
        "tag/out/multiplicity": np.full(4, 3),
        "connect/in/nodes": nodes,
        "connect/in/edges": edges,
        "connect/in/charges": charges,
        "connect/out/steps": ends[1] - ends[0],
        "connect/out/charge": charges.sum(axis=1, dtype="i4"),
    }


def _constant(name: str, value: object) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.asarray(value), name)


def _write(folder: Path, name: str, endpoint: Endpoint, nodes: Sequence[onnx.NodeProto], constants: Sequence) -> None:
    def described(tensors: Sequence[Tensor]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(
                tensor.name, _DTYPES[tensor.dtype], ["batch", *(axis.size or axis.name for axis in tensor.axes)]
            )
            for tensor in tensors
        ]

    graph = helper.make_graph(nodes, name, described(endpoint.inputs), described(endpoint.outputs), constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    helper.set_model_props(model, {"model": NAME, "revision": "1", "endpoint": name})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / f"{name}.onnx")
