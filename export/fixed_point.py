"""A network in fixed point as firmware that computes the same to the last bit: by hls4ml, or as Verilog by da4ml.

Both read the layers of HGQ2, which are made here of the numbers of a model. The bits are the model's own, so that there is no
width to choose. On the chip is everything between the scaled inputs and the logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import ExportError
from zoo.export.hls import HlsProject, Scaling, Tensors, expect_installed, expect_new, write_scaling
from zoo.families.contracts import DenseInFixedPoint, InFixedPoint
from zoo.families.state import own_randomness
from zoo.model.inputs import InputCheck
from zoo.model.spec import Endpoint

if TYPE_CHECKING:
    import keras
    from da4ml.codegen import VerilogModel

LOGITS = "logits"
"""The endpoint that is on the chip."""
EXACT = 2.0**24
"""Whole numbers up to here are exact in float32, in which Keras and ONNX Runtime add."""


@dataclass(frozen=True)
class Port(Scaling):
    """What the host makes of an input: (x - mean) / scale, saturated and rounded to what a port of the chip holds."""

    low: np.ndarray
    high: np.ndarray
    step: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The numbers (n, *shape) at the port, in float32, of inputs in the card's units."""
        steps = np.clip(super().__call__(x), self.low, self.high) / self.step
        return np.floor(steps + np.float32(0.5)) * self.step


@dataclass(frozen=True)
class Verilog:
    """A written design.

    Attributes
    ----------
    model : VerilogModel
        The design of da4ml, which Verilator compiles (``compile``).
    logic : CombLogic
        What it computes, with da4ml's estimates ``cost``, of look-up tables, and ``latency``.
    endpoint : Endpoint
        The endpoint as the card has it; its tensors are the ports.
    port : Port
        What the host does with the input.
    """

    model: VerilogModel
    logic: Any
    endpoint: Endpoint
    port: Port

    def run(self, inputs: Tensors) -> dict[str, np.ndarray]:
        """What the logic answers, emulated number by number; inputs out of range saturate.

        Parameters
        ----------
        inputs : Tensors
            Inputs by name, (n, *shape) in the card's units.

        Raises
        ------
        InputError
            What ``Session.run`` refuses, but for the trained range.
        """
        (given,), (output,) = InputCheck(self.endpoint)(inputs, allow_out_of_range=True).values(), self.endpoint.outputs
        return {output.name: np.asarray(self.logic.predict(self.port(given)), np.float32)}


def exact_to_hls(model: Any, folder: str | Path, **options: Any) -> HlsProject:
    """Write an hls4ml project of a model in fixed point.

    Parameters
    ----------
    model : EndpointModel
        A model whose bits were trained, as ``zoo.load`` gives it.
    folder : str or Path
        Folder of the project, to be made.
    **options : object
        Options of hls4ml's ``convert_from_keras_model``: backend (by default "Vitis"), part, clock_period, io_type.

    Returns
    -------
    HlsProject
        The project; ``compile`` and ``run`` give the answers of its emulation in C++.

    Raises
    ------
    ExportError
        When the folder exists, or the model does not compute in fixed point, or not exactly in float32.
    ZooError
        HGQ2, hls4ml or da4ml is not installed.
    """
    layers = _layers(model, folder)
    from hls4ml.converters import convert_from_keras_model

    endpoint = model.spec.endpoint(LOGITS)
    project = convert_from_keras_model(
        layers,
        output_dir=str(folder),
        project_name=_name(model),
        backend=options.pop("backend", "Vitis"),
        hls_config={"Model": {"Precision": "ap_fixed<1,0>", "ReuseFactor": 1, "Strategy": "distributed_arithmetic"}},
        **options,
    )
    project.write()
    return HlsProject(project, endpoint, {endpoint.inputs[0].name: _written(port(model), endpoint, folder)})


def to_verilog(model: Any, folder: str | Path, *, stage: float = 5, **options: Any) -> Verilog:
    """Write a model in fixed point as Verilog, its products made of shifts and sums that da4ml shares.

    Parameters
    ----------
    model : EndpointModel
        A model whose bits were trained, as ``zoo.load`` gives it.
    folder : str or Path
        Folder of the design, to be made.
    stage : float
        Sums, one after another, between two registers of the pipeline; one clock cycle each stage.
    **options : object
        Options of da4ml's ``VerilogModel``: part_name, clock_period, clock_uncertainty.

    Returns
    -------
    Verilog
        The design, with what it computes.

    Raises
    ------
    ExportError
        As of `exact_to_hls`.
    ZooError
        As of `exact_to_hls`.
    """
    layers = _layers(model, folder)
    from da4ml.codegen import VerilogModel
    from da4ml.converter import trace_model
    from da4ml.trace import FixedVariableArray, comb_trace

    integer, fraction = (bits.astype(np.int8) for bits in input_format(model.dense[0]))
    given = FixedVariableArray.from_kif(np.full(integer.shape, model.dense[0].signed), integer, fraction, latency=0)
    logic = comb_trace(*trace_model(layers, inputs=(given,)))
    design = VerilogModel(logic, _name(model), folder, latency_cutoff=stage, print_latency=False, **options)
    design.write()
    endpoint = model.spec.endpoint(LOGITS)
    return Verilog(design, logic, endpoint, _written(port(model), endpoint, folder))


def as_hgq(model: InFixedPoint, inputs: int) -> keras.Model:
    """The layers of HGQ2 with the numbers of a model: scaled inputs (batch, inputs) -> logits."""
    import keras
    from hgq.layers import QDense
    from hgq.quantizer import QuantizerConfig

    given = x = keras.Input((inputs,), name="scaled")
    made = []
    with own_randomness():
        for number, layer in enumerate(model.dense):
            of_inputs = QuantizerConfig("kif", "datalane", k0=layer.signed, round_mode="RND", overflow_mode="SAT")
            of_weights, of_biases = (
                QuantizerConfig("kif", place, round_mode="RND", overflow_mode="SAT_SYM", fc=None, ic=None)
                for place in ("weight", "bias")
            )
            made.append(
                QDense(
                    layer.units,
                    activation=keras.activations.serialize(layer.activation),
                    iq_conf=of_inputs,
                    kq_conf=of_weights,
                    bq_conf=of_biases,
                    beta0=0.0,
                    name=f"dense_{number}",
                )
            )
            x = made[-1](x)
    for layer, twin in zip(model.dense, made, strict=True):
        _set_bits(twin.iq, *input_format(layer))
        for value, variable, quantizer in ((weights(layer), twin._kernel, twin.kq), (biases(layer), twin.bias, twin.bq)):
            variable.assign(value)
            _set_bits(quantizer, *constant_format(value))
    return keras.Model(given, x)


def input_format(layer: DenseInFixedPoint) -> tuple[np.ndarray, np.ndarray]:
    """Bits of each input of a layer before the point, without the sign, and after it, (inputs,) each."""
    from keras import ops

    integer, fraction = (np.asarray(ops.convert_to_numpy(bits)) for bits in layer.input_format())
    return integer, fraction


def weights(layer: DenseInFixedPoint) -> np.ndarray:
    """Weights (inputs, units) of a layer."""
    from keras import ops

    return np.asarray(ops.convert_to_numpy(layer.rounded_kernel()))


def biases(layer: DenseInFixedPoint) -> np.ndarray:
    """Biases (units,) of a layer."""
    from keras import ops

    return np.asarray(ops.convert_to_numpy(layer.rounded_bias()))


def constant_format(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bits before and after the point that hold each of some numbers and no more, of their own shape; zero has none."""
    mantissa, exponent = np.frexp(np.asarray(value, np.float64))
    digits = np.round(np.abs(mantissa) * 2.0**53).astype(np.uint64)
    trailing = np.log2((digits & (~digits + np.uint64(1))).astype(np.float64), where=digits > 0, out=np.full(value.shape, 53.0))
    fraction = np.where(digits > 0, 53 - trailing - exponent, 0)
    return np.where(digits > 0, exponent, 0).astype(np.float32), fraction.astype(np.float32)


def _set_bits(quantizer: Any, integer: np.ndarray, fraction: np.ndarray) -> None:
    of = quantizer.quantizer
    of._i.assign(integer.reshape(of._i.shape))
    of._f.assign(fraction.reshape(of._f.shape))


def _layers(model: Any, folder: str | Path) -> keras.Model:
    """The layers of HGQ2 of a model that suits firmware, for a folder that is to be made."""
    expect_installed("firmware that is exact", {"hgq": "HGQ2", "hls4ml": "hls4ml", "da4ml": "da4ml"})
    released: str = model.spec.name
    if not isinstance(model, InFixedPoint):
        raise ExportError(
            f"{released}: expected a model whose bits were trained, such as mlp-jets-trigger: of any other,"
            " zoo.export.hls.to_hls makes firmware of a width that you choose"
        )
    expect_new(folder)
    for number, layer in enumerate(model.dense):
        if (most := largest_sum(layer)) > EXACT:
            raise ExportError(
                f"{released}: layer {number} may add up to {most:.3g} of its smallest steps, expected at most"
                f" {EXACT:.3g}, which float32 holds: firmware would be more exact than the model; train it with a larger beta"
            )
    return as_hgq(model, weights(model.dense[0]).shape[0])


def largest_sum(layer: DenseInFixedPoint) -> float:
    """Largest sum that any part of a layer can reach, in the smallest steps of its products."""
    integer, fraction = (bits.astype(np.float64) for bits in input_format(layer))
    kernel, bias = weights(layer).astype(np.float64), biases(layer).astype(np.float64)
    used = kernel != 0
    steps = np.where(used, fraction[:, None] + constant_format(kernel)[1], -np.inf).max(axis=0)
    steps = np.maximum(steps, np.where(bias != 0, constant_format(bias)[1], -np.inf))
    total = np.abs(kernel).T @ 2.0**integer + np.abs(bias)
    return float((total * 2.0 ** np.where(np.isfinite(steps), steps, 0)).max())


def port(model: Any) -> Port:
    """What the host makes of the input of a model."""
    from keras import ops

    mean, scale = (ops.convert_to_numpy(weight) for weight in (model.standardize.mean, model.standardize.scale))
    integer, fraction = input_format(model.dense[0])
    top, step = np.exp2(integer), np.exp2(-fraction)
    return Port(mean, scale, low=-top * np.float32(model.dense[0].signed), high=top - step, step=step)


def _written(made: Port, endpoint: Endpoint, folder: str | Path) -> Port:
    """The port, written into the folder for the host."""
    write_scaling({endpoint.inputs[0].name: made}, folder)
    return made


def _name(model: Any) -> str:
    return str(model.spec.name).replace("-", "_")
