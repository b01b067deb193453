"""The endpoint ``explain``: the default endpoint's outputs, and the gradient of the first with respect to every input.

Of a classifier the logit is explained, as by ``zoo.interpret.explain``: a saturated probability has no gradient to speak of.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
import tensorflow as tf
from onnx import helper, numpy_helper

from zoo.errors import ExportError, option
from zoo.export.gradient.backward import differentiate
from zoo.export.onnx import describe_graph, to_onnx, value_info
from zoo.export.rows import sizes_of, sizes_to_try
from zoo.families.base import EndpointModel, ZooModel
from zoo.interpret.attribution.scalar_output import LOGITS
from zoo.model.axes import Axis
from zoo.model.spec import Endpoint, ModelSpec, Tensor, Tolerance
from zoo.model.test_tensors import TestTensors

Arrays = dict[str, np.ndarray]

EXPLAIN = "explain"
WEIGHT = "weight"
"""Input by which the elements of an output of several are weighted: one of them, or any sum."""
FORWARD = "forward"
PARITY = 1e-5
"""Accepted difference of a gradient, in units of the largest."""


class Explained(ZooModel):
    """The endpoint ``explain`` of a Keras model; the gradient is TensorFlow's.

    Parameters
    ----------
    model : EndpointModel
        Model as ``zoo.load`` returns it.
    spec : ModelSpec
        Its spec.
    tensors : TestTensors
        Its test tensors.

    Attributes
    ----------
    spec : ModelSpec
        The model's with the endpoint; a gradient is accepted where it differs by 1e-5 of the largest, or by as much as the
        model's tolerance allows its own outputs.
    tensors : TestTensors
        Inputs and outputs of the endpoint's test tensors.

    Raises
    ------
    ExportError
        When the model has no gradient, an endpoint of this name already, or a tensor of a name that is needed.
    """

    endpoints = {EXPLAIN: EXPLAIN, FORWARD: FORWARD}

    def __init__(self, model: EndpointModel, spec: ModelSpec, tensors: TestTensors) -> None:
        super().__init__()
        if model.library != "keras" or model.no_gradient:
            raise ExportError(
                f"{spec.name}: {type(model).__name__} has no gradient to export: {model.no_gradient or 'not Keras'}"
            )
        if EXPLAIN in spec.endpoints:
            raise ExportError(f"{spec.name} has an endpoint {EXPLAIN!r} already: export it without {option('explain')}")
        self.model, self.spec_name, self.built = model, spec.name, True
        self.source = spec.default_endpoint
        described = spec.endpoint(self.source)
        self.has_logits = model.answers_with == "probability"
        first = described.outputs[0]
        logits = Tensor(
            name=LOGITS,
            axes=first.axes,
            mask=first.mask,
            unit="1",
            description=f"log-odds of {first.name}, which are explained",
        )
        self.forward_endpoint = Endpoint(
            description=described.description,
            inputs=described.inputs,
            outputs=[*described.outputs, *([logits] if self.has_logits else [])],
        )
        self.explained = logits if self.has_logits else first
        self.floating = [tensor.name for tensor in described.inputs if tensor.dtype.startswith("float")]
        self.weighted = bool(first.free) or math.prod(first.fixed_shape) > 1
        self._refuse_what_has_no_gradient(first, described.inputs)
        self.spec = spec.model_copy(update={"endpoints": spec.endpoints | {EXPLAIN: self._described()}})
        self.tensors = self._test_tensors(tensors[self.source][0])
        outputs = [self._with_tolerance(tensor, spec.tolerance) for tensor in self.spec.endpoint(EXPLAIN).outputs]
        endpoint = self.spec.endpoint(EXPLAIN).model_copy(update={"outputs": outputs})
        self.spec = spec.model_copy(update={"endpoints": spec.endpoints | {EXPLAIN: endpoint}})

    def forward(self, *inputs):
        """Outputs of the default endpoint, then the logits of a classifier."""
        outputs = getattr(self.model, self.model.endpoints[self.source])(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return (*outputs, self.model.logits(*inputs)) if self.has_logits else outputs

    def explain(self, *inputs):
        """The outputs of ``forward``, then the gradient with respect to each floating-point input."""
        inputs, weight = (inputs[:-1], inputs[-1]) if self.weighted else (inputs, None)
        named = {t.name: tf.convert_to_tensor(x) for t, x in zip(self.forward_endpoint.inputs, inputs, strict=True)}
        points = [named[name] for name in self.floating]
        if self.explained.mask is not None:  # what is padding has no answer that could be explained
            mask = named[self.explained.mask]
            weight = tf.where(mask[(..., *[None] * (len(self.explained.axes) + 1 - mask.shape.rank))], weight, 0.0)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(points)
            outputs = self.forward(*named.values())
        answer = outputs[-1 if self.has_logits else 0]
        return (*outputs, *tape.gradient(answer, points, output_gradients=weight, unconnected_gradients="zero"))

    @property
    def gradients(self) -> list[str]:
        """Names of the outputs that are gradients."""
        return [_gradient(name) for name in self.floating]

    def _refuse_what_has_no_gradient(self, first: Tensor, inputs: list[Tensor]) -> None:
        where = f"{self.spec_name}, endpoint {self.source!r}"
        if not self.floating:
            raise ExportError(
                f"{where}: none of its inputs is of floating-point numbers, so it has no gradient: leave explain out"
            )
        for tensor in (first, *inputs):
            if tensor.dtype == "float64" or (tensor is first and tensor.dtype != "float32"):
                raise ExportError(
                    f"{where}: gradients are of a float32 output and of float32 inputs, {tensor.name!r} is {tensor.dtype}:"
                    " leave explain out"
                )

    def _test_tensors(self, inputs: Arrays) -> tuple[Arrays, Arrays]:
        """Test tensors for rows of the default endpoint's inputs; row i weights element i alone."""
        arrays = dict(inputs)
        if self.weighted:
            rows = len(next(iter(inputs.values())))
            shape = self.explained.sized(sizes_of(self.forward_endpoint, inputs))
            elements = math.prod(shape)
            arrays[WEIGHT] = np.eye(elements, dtype=np.float32)[np.arange(rows) % elements].reshape(-1, *shape)
        with tf.device("CPU:0"):
            outputs = self.endpoint(EXPLAIN)(**arrays)
        return arrays, {name: np.asarray(array) for name, array in outputs.items()}

    def to_onnx(self, opset: int) -> onnx.ModelProto:
        """The endpoint as a graph: the forward graph as ``zoo.export.to_onnx`` makes it, then its backward pass.

        Raises
        ------
        ExportError
            What :func:`zoo.export.to_onnx` raises, and an operation, which is named, that has no gradient here.
        """
        where = f"{self.spec.name}, endpoint {EXPLAIN!r}, opset {opset}"
        described = self.spec.endpoint(EXPLAIN)
        spec = self.spec.model_copy(update={"endpoints": {FORWARD: self.forward_endpoint}})
        proto = to_onnx(self, spec, FORWARD, opset)
        if self.weighted:
            proto.graph.input.append(value_info(described.inputs[-1]))
        seed = self._seed(proto) if self.weighted else None
        tried = sizes_to_try(self.forward_endpoint)
        free = {name: (tried[0][name], tried[-1][name]) for name in self.forward_endpoint.free}
        gradients = differentiate(proto, self.explained.name, self.floating, seed, where, free)
        for name, gradient in gradients.items():
            proto.graph.node.append(helper.make_node("Identity", [gradient], [_gradient(name)], name=_gradient(name)))
            proto.graph.output.append(value_info(next(t for t in described.outputs if t.name == _gradient(name))))
        return describe_graph(proto, self.spec, EXPLAIN, opset)

    def _seed(self, proto: onnx.ModelProto) -> str:
        """Name of the weights, which are zero where the mask of what is explained is false."""
        if self.explained.mask is None:
            return WEIGHT
        (mask,) = (tensor for tensor in self.forward_endpoint.inputs if tensor.name == self.explained.mask)
        real, shape, zero = f"{WEIGHT}_real", f"{WEIGHT}_mask_shape", f"{WEIGHT}_zero"
        shape_of_mask = np.array([0] * (len(mask.axes) + 1) + [1] * (len(self.explained.axes) - len(mask.axes)))
        proto.graph.initializer.append(numpy_helper.from_array(shape_of_mask, shape))
        proto.graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), zero))
        proto.graph.node.append(helper.make_node("Reshape", [mask.name, shape], [f"{WEIGHT}_mask"], f"{WEIGHT}_mask"))
        proto.graph.node.append(helper.make_node("Where", [f"{WEIGHT}_mask", WEIGHT, zero], [real], real))
        return real

    def _with_tolerance(self, tensor: Tensor, tolerance: Tolerance) -> Tensor:
        if tensor.name not in self.gradients:
            return tensor
        values = self.tensors[1][tensor.name]
        largest = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))  # parity refuses what is not finite
        absolute = max(PARITY, tolerance.relative) * (largest or 1.0)
        own = Tolerance(absolute=float(f"{absolute:.2g}"), relative=tolerance.relative)
        return tensor.model_copy(update={"tolerance": own})

    def _described(self) -> Endpoint:
        inputs, outputs, name = self.forward_endpoint.inputs, self.forward_endpoint.outputs, self.explained.name
        taken = {tensor.name for tensor in (*inputs, *outputs)}
        if clashes := taken & {WEIGHT, *self.gradients}:
            raise ExportError(f"{self.spec.name}: {', '.join(sorted(clashes))} is the name of a tensor already: rename it")
        of = f"the sum of {WEIGHT} x {name}" if self.weighted else name
        weight = Tensor(
            name=WEIGHT,
            axes=self.explained.axes,
            mask=self.explained.mask,
            unit="1",
            description=f"weights of the elements of {name} that are explained",
        )
        gradients = [
            Tensor(
                name=_gradient(tensor.name),
                axes=[_gradient_axis(axis, self.explained.unit) for axis in tensor.axes],
                mask=tensor.mask,
                unit=_per(self.explained.unit, tensor.unit),
                description=f"d {of} / d {tensor.name}",
            )
            for tensor in inputs
            if tensor.name in self.floating
        ]
        return Endpoint(
            description=f"As {self.source}, with the gradient of {of} with respect to {', '.join(self.floating)}",
            inputs=[*inputs, *([weight] if self.weighted else [])],
            outputs=[*outputs, *gradients],
        )


def _gradient(name: str) -> str:
    return f"{name}_gradient"


def _gradient_axis(axis: Axis, unit: str) -> Axis:
    """The axis of a gradient along that of its input, whose elements may have units of their own."""
    return axis if axis.units is None else axis.model_copy(update={"units": [_per(unit, own) for own in axis.units]})


def _per(unit: str, other: str) -> str:
    """A unit over another."""
    if other == "1":
        return unit
    return f"{unit} / ({other})" if {" ", "/", "*"} & set(other) else f"{unit} / {other}"
