"""Taggers as Athena's ``FlavorTagDiscriminants`` loads them, in the form that salt's ``to_onnx`` writes.

Athena (``PhysicsAnalysis/JetTagging/FlavorTagDiscriminants``: ``SaltModel.cxx``, ``ConstituentsLoader.cxx``) runs one jet at a
time. Its variables have no batch axis but those of the jet, and the names of the variables tell how Athena gets them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper

from zoo.data.jets.identities import masses_of
from zoo.data.jets.packed import wrapped
from zoo.export.experiments.cloud import Cloud, Jet
from zoo.export.experiments.cmssw import probabilities
from zoo.export.experiments.nodes import Nodes, joined
from zoo.export.experiments.particles import detected, four
from zoo.families.clouds.kinds import charges

JET, TRACKS = "jet_features", "track_features"
JET_VARIABLES = ["pt", "eta"]
KINEMATICS = ["pt", "deta", "dphi"]
KIND = ["qOverP", "leptonID"]
MEV = 1e-3
"""GeV of a MeV."""
SALT_OPSET = 16


class Athena:
    """Variables of the jet (1, n) and of its tracks (tracks, n), and one number for each class."""

    folder = "athena"
    file = "network.onnx"
    empty = "answer"

    def opset(self, asked: int) -> int:
        """That of salt, whatever is asked for."""
        return SALT_OPSET

    def graph(self, cloud: Cloud, model: onnx.ModelProto) -> onnx.ModelProto:
        """The model's graph behind nodes that make momenta, PDG codes and mask of tracks.

        As salt once did, padding is added to the tracks, so that the model always has some.
        """
        before, after = Nodes("athena/before"), Nodes("athena/after")
        names = _track_variables(cloud)
        padding = np.zeros((cloud.axis.least or 1, len(names)), np.float32)
        tracks = before("Concat", TRACKS, padding, axis=0)
        flat = {name: before("Gather", tracks, np.int64(place), axis=1) for place, name in enumerate(names)}
        here = before("Greater", flat["pt"], 0.0)
        pt = before("Mul", flat["pt"], MEV)
        lepton = flat.get("leptonID")
        eta = before("Add", flat["deta"], before("Gather", before("Gather", JET, np.int64(0), axis=0), np.int64(1), axis=0))
        rapidity = _rapidity(before, before("Where", here, pt, 1.0), eta, lepton)
        columns = [before("Where", here, numbers, 0.0) for numbers in (pt, rapidity, flat["dphi"])]
        stacked = [before("Reshape", column, np.array([1, -1, 1])) for column in columns]
        before("Concat", *stacked, axis=2, out=cloud.particles.name)
        if cloud.identity is not None and lepton is not None:
            pion = before("Mul", before("Sign", flat["qOverP"]), 211.0)
            code = before("Where", before("Equal", lepton, 0.0), pion, lepton)
            whole = before("Cast", before("Where", here, code, 0.0), to=TensorProto.INT32)
            before("Reshape", whole, np.array([1, -1]), out=cloud.identity.name)
        before("Reshape", here, np.array([1, -1]), out=cloud.real.name)
        each = after("Gather", probabilities(after, cloud), np.int64(0), axis=0)
        for place, output in enumerate(outputs_of(cloud)):
            after("Gather", each, np.int64(place), axis=0, out=output)
        inputs = [
            helper.make_tensor_value_info(JET, TensorProto.FLOAT, [1, len(JET_VARIABLES)]),
            helper.make_tensor_value_info(TRACKS, TensorProto.FLOAT, ["n_tracks", len(names)]),
        ]
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, []) for output in outputs_of(cloud)]
        whole = joined(model, before, after, inputs, outputs)
        known = {entry.key: entry.value for entry in whole.metadata_props}
        helper.set_model_props(whole, known | {"gnn_config": json.dumps(configuration(cloud))})
        return whole

    def files(self, cloud: Cloud) -> dict[str, str]:
        """``README.md``; what Athena reads is in the graph's metadata."""
        return {"README.md": _readme(cloud)}

    def inputs(self, cloud: Cloud, jet: Jet) -> dict[str, np.ndarray]:
        """Variables of a jet and of its charged particles."""
        tracks, charge = _tracks(cloud, jet)
        particle, code, axis = four(tracks), detected(tracks.identity), four(jet).total
        with np.errstate(divide="ignore"):
            bent = charge / (particle.pt * np.cosh(particle.eta) / MEV)
        found = {
            "pt": particle.pt / MEV,
            "deta": particle.eta - axis.eta,
            "dphi": wrapped(particle.phi - axis.phi),
            "qOverP": bent,
            "leptonID": np.where(np.isin(np.abs(code), (11, 13)), code, 0),
        }
        columns = [found[name].astype(np.float32) for name in _track_variables(cloud)]
        return {JET: np.array([[axis.pt / MEV, axis.eta]], np.float32), TRACKS: np.stack(columns, axis=1)}

    def seen(self, cloud: Cloud, jet: Jet) -> Jet:
        """The charged particles, each with the mass of what it is taken for, of a jet that is turned to azimuth 0."""
        tracks, _ = _tracks(cloud, jet)
        there = tracks.momenta[:, 0] > 0
        tracks = Jet(tracks.momenta[there], tracks.identity[there])
        particle, code = four(tracks), detected(tracks.identity)
        mass = masses_of(np.where(np.isin(np.abs(code), (11, 13)), code, 211))
        y = np.arcsinh(particle.along / np.hypot(particle.pt, mass))
        return Jet(np.stack([particle.pt, y, wrapped(particle.phi - four(jet).total.phi)], axis=-1), code)

    def probabilities(self, cloud: Cloud, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The numbers of all classes together."""
        return np.array([outputs[output] for output in outputs_of(cloud)])


def _track_variables(cloud: Cloud) -> list[str]:
    return KINEMATICS + (KIND if cloud.identity is not None else [])


def _tracks(cloud: Cloud, jet: Jet) -> tuple[Jet, np.ndarray]:
    """The charged particles of a jet and their charges; all of them where nothing says what they are."""
    charge = charges(jet.identity) if cloud.identity is not None else np.ones(len(jet.identity))
    return Jet(jet.momenta[charge != 0], jet.identity[charge != 0]), charge[charge != 0]


def _rapidity(before: Nodes, pt: str, eta: str, lepton: str | None) -> str:
    """Rapidity of each track, y = asinh(p_z / m_T), with the mass of the lepton that it is, else of a pion, as in Athena."""
    electron, muon, pion = masses_of(np.array([11, 13, 211])).tolist()
    mass: str | float = pion
    if lepton is not None:
        kind = before("Abs", lepton)
        for code, own in ((11, electron), (13, muon)):
            mass = before("Where", before("Equal", kind, float(code)), own, mass)
    share = before("Div", mass, pt)
    transverse = before("Sqrt", before("Add", before("Mul", share, share), 1.0))  # m_T / p_T
    return before("Asinh", before("Div", before("Sinh", eta), transverse))


def tagger_name(cloud: Cloud) -> str:
    """The model's name as that of an auxiliary variable: Athena cuts output names at the first underscore."""
    return re.sub(r"[^a-zA-Z0-9]", "", cloud.model)


def outputs_of(cloud: Cloud) -> list[str]:
    """The name of each class's output, ``<model>_p<class>``."""
    return [f"{tagger_name(cloud)}_p{re.sub(r'[^a-zA-Z0-9]', '', name)}" for name in cloud.classes]


def configuration(cloud: Cloud) -> dict[str, object]:
    """The metadata ``gnn_config``: which variables Athena gets, in their order. Nothing is shifted or scaled."""

    def described(names: list[str]) -> list[dict[str, object]]:
        return [{"name": name, "offset": 0.0, "scale": 1.0} for name in names]

    return {
        "onnx_model_version": "v1",
        "layers": [],
        "nodes": [],
        "inputs": [{"name": "jet_var", "variables": described(JET_VARIABLES)}],
        "input_sequences": [{"name": "tracks_r22default_ptsort", "variables": described(_track_variables(cloud))}],
        "outputs": {tagger_name(cloud): {"labels": [name.partition("_")[2] for name in outputs_of(cloud)], "node_index": 0}},
    }


def _readme(cloud: Cloud) -> str:
    kinds, mass = "", "a pion"
    if cloud.identity is not None:
        mass = "a pion or of the lepton"
        kinds = """
- **Identities.** `leptonID` is the PDG code of electrons and muons, as Athena decorates it; other tracks are called pions, of
  the charge of `qOverP`."""
    names = ", ".join(f"`{name}`" for name in outputs_of(cloud))
    tracks = ", ".join(f"`{name}`" for name in _track_variables(cloud))
    return f"""# {cloud.model}@{cloud.revision} for Athena

`network.onnx` is what `FlavorTagDiscriminants` (`GNN`, `GNNTool`) loads, in the form of salt's `to_onnx`: inputs
`jet_features` (1, {len(JET_VARIABLES)}) and `track_features` (n_tracks, {len(_track_variables(cloud))}) without a batch
axis, one number for each class ({names}), opset {SALT_OPSET}, metadata `gnn_config`.

- **Variables**, in Athena's units (MeV): of a track {tracks}; of the jet
  {" and ".join(f"`{name}`" for name in JET_VARIABLES)}, of which the momentum is not read. The jet is turned to azimuth 0, as
  `dphi` is.
- **Charged particles only.** The model was trained on all particles of a jet, and Athena hands over tracks. Its answers are
  those for a jet without neutral particles: fine-tune it on tracks before you use it, and export that.
- **Rapidity.** The model takes rapidity, Athena gives pseudorapidity by `eta` and
  `deta`. The mass is that of {mass}.{kinds}
- Any number of tracks, none too; what the model says of none is what it says of padding alone
  (`default_zero_tracks` of Athena answers with defaults instead).
- {cloud.which_jets}

This folder was compared with the model in its own library on jets of all lengths (`report.md`). It was not run inside Athena.
"""
