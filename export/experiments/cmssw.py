"""Taggers as CMSSW's ``BoostedJetONNXJetTagsProducer`` loads them, from what ``DeepBoostedJetTagInfoProducer`` says of a jet.

The producer (``RecoBTag/ONNXRuntime/plugins/BoostedJetONNXJetTagsProducer.cc``, ``RecoBTag/FeatureTools/src/deep_helpers.cc``)
runs one jet at a time, fills float tensors (1, variables, particles) as ``preprocess.json`` tells, and reads the first output.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper

from zoo.data.jets.packed import wrapped
from zoo.export.experiments.cloud import Cloud, Jet
from zoo.export.experiments.nodes import Nodes, joined
from zoo.export.experiments.particles import Four, detected, four
from zoo.families.clouds.kinds import charges

POINTS = ["pfcand_etarel", "pfcand_phirel"]
KINEMATICS = ["pfcand_pt_log", "pfcand_pt_log_nopuppi", "pfcand_e_log_nopuppi", "pfcand_abseta"]
FLAGS = ["pfcand_charge", "pfcand_isEl", "pfcand_isMu", "pfcand_isGamma", "pfcand_isChargedHad", "pfcand_isNeutralHad"]
MASK = ["pfcand_mask"]
OUTPUT = "softmax"
NOTHING = -99.0
"""What stands for the logarithm of nothing, as in DeepNTuples; particles below SOFTEST are left out."""
SOFTEST = -20.0
FAR = 1e4
_WIDE = 1e32


class Cmssw:
    """Groups of float variables, channels first, of one jet."""

    folder = "cmssw"
    file = "model.onnx"
    empty = "zeros"

    def opset(self, asked: int) -> int:
        """What is asked for."""
        return asked

    def graph(self, cloud: Cloud, model: onnx.ModelProto) -> onnx.ModelProto:
        """The model's graph behind nodes that make momenta, PDG codes and mask of CMSSW's variables."""
        before, after = Nodes("cmssw/before"), Nodes("cmssw/after")
        groups = _groups(cloud)
        flat = {  # (1, particles) each
            variable: before("Gather", group, np.int64(place), axis=1)
            for group, variables in groups.items()
            for place, variable in enumerate(variables)
        }
        real = before(
            "And",
            before("Greater", flat["pfcand_mask"], 0.5),
            before("Greater", flat["pfcand_pt_log"], SOFTEST),
            out=cloud.real.name,
        )
        momentum = [before("Exp", flat["pfcand_pt_log"]), _rapidity(before, flat, real), flat["pfcand_phirel"]]
        columns = [before("Where", real, numbers, 0.0) for numbers in momentum]
        rows = before("Transpose", before("Concat", *columns, axis=0), perm=[1, 0])
        before("Reshape", rows, np.array([1, -1, 3]), out=cloud.particles.name)
        if cloud.identity is not None:
            code = before("Where", real, _code(before, flat), 0.0)
            before("Cast", code, out=cloud.identity.name, to=TensorProto.INT32)
        any_real = after("Greater", after("ReduceMax", after("Cast", real, to=TensorProto.FLOAT), axes=[1], keepdims=1), 0.5)
        after("Where", any_real, probabilities(after, cloud), 0.0, out=OUTPUT)
        inputs = [
            helper.make_tensor_value_info(group, TensorProto.FLOAT, [1, len(variables), cloud.axis.name])
            for group, variables in groups.items()
        ]
        outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, len(cloud.classes)])]
        return joined(model, before, after, inputs, outputs)

    def files(self, cloud: Cloud) -> dict[str, str]:
        """``preprocess.json`` and ``README.md``."""
        return {"preprocess.json": json.dumps(preprocessing(cloud), indent=2) + "\n", "README.md": _readme(cloud)}

    def inputs(self, cloud: Cloud, jet: Jet) -> dict[str, np.ndarray]:
        """Tensors that the producer makes of a jet."""
        return preprocessed(preprocessing(cloud), variables(jet))

    def seen(self, cloud: Cloud, jet: Jet) -> Jet:
        """A jet turned about the beam to azimuth 0 and mirrored to positive pseudorapidity, its first particles."""
        axis = four(jet).total
        pt, y, phi = jet.momenta[: cloud.axis.most].astype(np.float64).T
        turned = np.stack([pt, axis.side * y, wrapped(phi - axis.phi)], axis=-1)
        there = pt > np.exp(SOFTEST)
        return Jet(turned[there], detected(jet.identity[: cloud.axis.most][there]))

    def probabilities(self, cloud: Cloud, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The only row of the only output."""
        return outputs[OUTPUT][0]


def _groups(cloud: Cloud) -> dict[str, list[str]]:
    """The variables of each group, in the order of the inputs."""
    return {
        "pf_points": POINTS,
        "pf_features": KINEMATICS + (FLAGS if cloud.identity is not None else []),
        "pf_mask": MASK,
    }


def _rapidity(before: Nodes, flat: Mapping[str, str], real: str) -> str:
    """Rapidity of each particle, mirrored so that the jet's pseudorapidity is positive.

    CMSSW says |eta| of a particle, and eta less that of the jet with the jet's sign. Their difference is the jet's |eta| for
    each particle on the jet's side, and more for others, so its least is the jet's. Energy over transverse momentum, which no
    Puppi weight changes, and the pseudorapidity then tell the rapidity y = asinh(p_z / m_T).
    """
    aside = before("Where", real, before("Sub", flat["pfcand_abseta"], flat["pfcand_etarel"]), FAR)
    jet = before("ReduceMin", aside, axes=[1], keepdims=1)
    along = before("Sinh", before("Add", flat["pfcand_etarel"], jet))  # p_z / p_T
    energy = before("Exp", before("Sub", flat["pfcand_e_log_nopuppi"], flat["pfcand_pt_log_nopuppi"]))
    square = before("Sub", before("Mul", energy, energy), before("Mul", along, along))
    return before("Asinh", before("Div", along, before("Sqrt", before("Max", square, 1.0))))


def _code(before: Nodes, flat: Mapping[str, str]) -> str:
    """The PDG code of each particle, as a float: 0 where CMSSW says nothing, as of candidates in the forward calorimeter."""
    signed = {"pfcand_isEl": -11.0, "pfcand_isMu": -13.0, "pfcand_isChargedHad": 211.0}
    charged = [before("Mul", flat[flag], code) for flag, code in signed.items()]
    neutral = [before("Mul", flat[flag], code) for flag, code in (("pfcand_isGamma", 22.0), ("pfcand_isNeutralHad", 130.0))]
    return before("Sum", before("Mul", before("Sum", *charged), flat["pfcand_charge"]), *neutral)


def probabilities(after: Nodes, cloud: Cloud) -> str:
    """Probabilities (1, classes) of what the model answers: one of two classes has the rest."""
    given = after("Reshape", cloud.output.name, np.array([1, -1]))
    return given if len(cloud.output.labels or [0]) > 1 else after("Concat", after("Sub", 1.0, given), given, axis=1)


def preprocessing(cloud: Cloud) -> dict[str, object]:
    """What ``preprocess.json`` tells: nothing is scaled, since the graph takes physical numbers."""
    special = dict.fromkeys(("pfcand_pt_log", "pfcand_pt_log_nopuppi", "pfcand_e_log_nopuppi"), NOTHING)
    described: dict[str, object] = {"input_names": list(_groups(cloud)), "output_names": [OUTPUT]}
    for group, names in _groups(cloud).items():
        infos = {
            name: {
                "median": 0.0,
                "norm_factor": 1.0,
                "replace_inf_value": special.get(name, 0.0),
                "lower_bound": NOTHING if name in special else -_WIDE,
                "upper_bound": -SOFTEST if name in special else _WIDE,
                "pad": 0.0,
            }
            for name in names
        }
        lengths = {"min_length": cloud.axis.least, "max_length": cloud.axis.most}
        described[group] = {"var_names": names, **lengths, "var_infos": infos}
    return described


def preprocessed(described: Mapping, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors (1, variables, particles) of each group as ``center_norm_pad`` makes them of the variables of one jet."""
    tensors = {}
    for group in described["input_names"]:
        told, columns = described[group], []
        for name in told["var_names"]:
            info, given = told["var_infos"][name], np.asarray(values[name], np.float32)
            length = int(np.clip(len(given), told["min_length"], told["max_length"]))
            finite = np.isfinite(given) & (np.abs(given) <= np.float32(_WIDE))
            scaled = (np.where(finite, given, info["replace_inf_value"]) - info["median"]) * info["norm_factor"]
            column = np.full(length, info["pad"], np.float32)
            column[: len(given)] = scaled.clip(info["lower_bound"], info["upper_bound"])[:length]
            columns.append(column)
        tensors[group] = np.stack(columns)[None]
    return tensors


def variables(jet: Jet) -> dict[str, np.ndarray]:
    """What ``DeepBoostedJetTagInfoProducer`` says of a jet's particles, in their order; Puppi weights are one."""
    particle: Four = four(jet)
    axis, code = particle.total, detected(jet.identity)
    kind = np.abs(code)
    with np.errstate(divide="ignore"):
        pt_log, e_log = np.log(particle.pt), np.log(particle.energy)
    found = {
        "pfcand_etarel": axis.side * (particle.eta - axis.eta),
        "pfcand_phirel": wrapped(particle.phi - axis.phi),
        "pfcand_pt_log": pt_log,
        "pfcand_pt_log_nopuppi": pt_log,
        "pfcand_e_log_nopuppi": e_log,
        "pfcand_abseta": np.abs(particle.eta),
        "pfcand_charge": charges(jet.identity),
        "pfcand_isEl": kind == 11,
        "pfcand_isMu": kind == 13,
        "pfcand_isGamma": kind == 22,
        "pfcand_isChargedHad": kind == 211,
        "pfcand_isNeutralHad": kind == 130,
        "pfcand_mask": np.ones(len(code)),
    }
    return {name: numbers.astype(np.float32) for name, numbers in found.items()}


def _readme(cloud: Cloud) -> str:
    names = ",\n        ".join(f'"prob{_capital(name)}"' for name in cloud.classes)
    groups = "\n".join(f"- `{group}`: {', '.join(f'`{name}`' for name in found)}" for group, found in _groups(cloud).items())
    kinds = (
        """
- **Identities.** CMSSW tells electrons, muons, photons, charged and neutral hadrons apart. The graph calls charged hadrons
  pions (PDG code 211 or -211) and neutral ones long-lived kaons (130), and what has none of the flags 0, unknown. A model that
  was trained on more kinds answers as if the others were these: measure what it is worth on your own simulation."""
        if cloud.identity is not None
        else ""
    )
    return f"""# {cloud.model}@{cloud.revision} for CMSSW

`model.onnx` and `preprocess.json` are what `BoostedJetONNXJetTagsProducer` loads, one jet at a time with any number of
particles. The graph takes what `DeepBoostedJetTagInfoProducer` fills, and makes the model's own inputs of it:

{groups}

```python
from RecoBTag.ONNXRuntime.boostedJetONNXJetTagsProducer_cfi import boostedJetONNXJetTagsProducer

zooJetTags = boostedJetONNXJetTagsProducer.clone(
    src = "pfDeepBoostedJetTagInfos",
    preprocess_json = "RecoBTag/Combined/data/{cloud.model}/preprocess.json",
    model_path = "RecoBTag/Combined/data/{cloud.model}/model.onnx",
    flav_names = [
        {names},
    ],
)
```

- **Momenta** are in GeV. The transverse momentum is `pfcand_pt_log`, that of the Puppi-weighted particle where
  `use_puppiP4` is set.
- **Rapidity.** The model takes rapidity, CMSSW gives pseudorapidity. The graph finds the jet's |eta| as the least of
  `pfcand_abseta - pfcand_etarel`, and takes the mass from `pfcand_e_log_nopuppi` and `pfcand_pt_log_nopuppi`, whose
  difference no Puppi weight changes. The jet is turned to azimuth 0 and mirrored to positive eta, as `pfcand_phirel` and
  `pfcand_etarel` are.{kinds}
- **Padding.** A particle whose `pfcand_mask` is 0 or whose momentum is no number or nothing is left out. Beyond
  {cloud.axis.most} particles the first are kept: leave them sorted by momentum. A jet without particles gets zeros.
- {cloud.which_jets}

This folder was compared with the model in its own library on jets of all lengths (`report.md`). It was not run inside CMSSW.
"""


def _capital(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.replace("-", "_").replace(" ", "_").split("_"))
