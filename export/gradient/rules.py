"""How each operation passes adjoints on; at a kink as TensorFlow does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate

import numpy as np
import onnx
from onnx import TensorProto

from zoo.export.gradient.backward import Backward, Dim, rule

Adjoints = Sequence[str | None]
TO_THE_END = 10**9
"""Least end of a slice that stands for the whole axis: TensorFlow's own is a thousand million."""


def _unary(kind: str) -> Callable[[Callable[[Backward, str, str, str], str]], None]:
    """Rule of an operation of one tensor: of its input, output and the output's adjoint."""

    def register(function: Callable[[Backward, str, str, str], str]) -> None:
        rule(kind)(lambda back, node, given: [function(back, node.input[0], node.output[0], given[0])])

    return register


def _times(back: Backward, x: str, number: float) -> str:
    return back.op("Mul", x, back.constant(number))


def _one_minus(back: Backward, x: str) -> str:
    return back.op("Sub", back.constant(1.0), x)


def _where(back: Backward, condition: str, adjoint: str) -> str:
    return back.op("Where", condition, adjoint, back.constant(0.0))


def _positive(back: Backward, x: str) -> str:
    return back.op("Greater", x, back.constant(0.0))


_unary("Identity")(lambda back, x, y, g: g)
_unary("Neg")(lambda back, x, y, g: back.op("Neg", g))
_unary("Exp")(lambda back, x, y, g: back.op("Mul", g, y))
_unary("Log")(lambda back, x, y, g: back.op("Div", g, x))
_unary("Sqrt")(lambda back, x, y, g: back.op("Div", _times(back, g, 0.5), y))
_unary("Reciprocal")(lambda back, x, y, g: back.op("Neg", back.op("Mul", g, back.op("Mul", y, y))))
_unary("Abs")(lambda back, x, y, g: back.op("Mul", g, back.op("Sign", x)))
_unary("Sin")(lambda back, x, y, g: back.op("Mul", g, back.op("Cos", x)))
_unary("Cos")(lambda back, x, y, g: back.op("Neg", back.op("Mul", g, back.op("Sin", x))))
_unary("Atan")(lambda back, x, y, g: back.op("Div", g, _one_minus(back, back.op("Neg", back.op("Mul", x, x)))))
_unary("Sinh")(lambda back, x, y, g: back.op("Mul", g, back.op("Cosh", x)))
_unary("Cosh")(lambda back, x, y, g: back.op("Mul", g, back.op("Sinh", x)))
_unary("Tanh")(lambda back, x, y, g: back.op("Mul", g, _one_minus(back, back.op("Mul", y, y))))
_unary("Sigmoid")(lambda back, x, y, g: back.op("Mul", back.op("Mul", g, y), _one_minus(back, y)))
_unary("Softplus")(lambda back, x, y, g: back.op("Mul", g, back.op("Sigmoid", x)))
_unary("Relu")(lambda back, x, y, g: _where(back, _positive(back, x), g))


@_unary("Softsign")
def _softsign(back: Backward, x: str, y: str, g: str) -> str:
    root = _one_minus(back, back.op("Abs", y))
    return back.op("Mul", g, back.op("Mul", root, root))


@_unary("Erf")
def _erf(back: Backward, x: str, y: str, g: str) -> str:
    bell = back.op("Exp", back.op("Neg", back.op("Mul", x, x)))
    return back.op("Mul", g, _times(back, bell, 2 / math.sqrt(math.pi)))


@_unary("LeakyRelu")
def _leaky_relu(back: Backward, x: str, y: str, g: str) -> str:
    return back.op("Where", _positive(back, x), g, _times(back, g, back.attribute("alpha", 0.01)))


@_unary("Elu")
def _elu(back: Backward, x: str, y: str, g: str) -> str:
    slope = back.op("Add", y, back.constant(back.attribute("alpha", 1.0)))
    return back.op("Where", _positive(back, x), g, back.op("Mul", g, slope))


@_unary("Selu")
def _selu(back: Backward, x: str, y: str, g: str) -> str:
    alpha, gamma = back.attribute("alpha", 1.67326319217681884765625), back.attribute("gamma", 1.05070102214813232421875)
    slope = back.op("Add", y, back.constant(alpha * gamma))
    return back.op("Where", _positive(back, x), _times(back, g, gamma), back.op("Mul", g, slope))


@_unary("Softmax")
def _softmax(back: Backward, x: str, y: str, g: str) -> str:
    weighted = back.op("Mul", g, y)
    return back.op("Sub", weighted, back.op("Mul", y, back.summed(weighted, [_last(back, x)], keep=True)))


@_unary("LogSoftmax")
def _log_softmax(back: Backward, x: str, y: str, g: str) -> str:
    total = back.summed(g, [_last(back, x)], keep=True)
    return back.op("Sub", g, back.op("Mul", back.op("Exp", y), total))


def _last(back: Backward, x: str) -> int:
    """The axis of a softmax, on which opset 12 and 13 agree where it is the last."""
    rank = len(back.shape(x))
    axis = back.attribute("axis", -1 if back.opset >= 13 else 1) % rank
    if axis != rank - 1:
        raise back.refusal(f"runs over axis {axis} of {rank}, expected the last")
    return axis


@rule("Cast")
def _cast(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    if back.attribute("to") != TensorProto.FLOAT:
        raise back.refusal("leaves float32")
    return given


@rule("Pow")
def _pow(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    base, exponent = node.input
    power = back.value(exponent)
    if power.size != 1:
        raise back.refusal("has several exponents")
    n = float(power.item())
    slope = _times(back, base if n == 2 else back.op("Pow", base, back.constant(n - 1)), n)
    return [back.op("Mul", given[0], slope)]


@rule("Clip")
def _clip(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    (g,) = given
    for bound, beyond in zip(node.input[1:], ("Less", "Greater"), strict=False):
        if bound:
            g = _where(back, back.op("Not", back.op(beyond, node.input[0], bound)), g)
    return [g]


def _broadcasting(*kinds: str) -> Callable[[Callable[[Backward, onnx.NodeProto, str, int], str]], None]:
    """Rule of an operation that broadcasts: the adjoint of the input at a position, in the output's shape."""

    def register(function: Callable[[Backward, onnx.NodeProto, str, int], str]) -> None:
        def apply(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
            shape = back.shape(node.output[0])
            return [
                back.unbroadcast(function(back, node, given[0], position), name, shape) if back.needs(name) else None
                for position, name in enumerate(node.input)
            ]

        rule(*kinds)(apply)

    return register


@_broadcasting("Add", "Sum", "Expand")
def _add(back: Backward, node: onnx.NodeProto, g: str, position: int) -> str:
    return g


@_broadcasting("Sub")
def _sub(back: Backward, node: onnx.NodeProto, g: str, position: int) -> str:
    return back.op("Neg", g) if position else g


@_broadcasting("Mul")
def _mul(back: Backward, node: onnx.NodeProto, g: str, position: int) -> str:
    return back.op("Mul", g, node.input[1 - position])


@_broadcasting("Div")
def _div(back: Backward, node: onnx.NodeProto, g: str, position: int) -> str:
    share = back.op("Div", g, node.input[1])
    return back.op("Neg", back.op("Mul", share, node.output[0])) if position else share


@_broadcasting("Max", "Min")
def _extremum(back: Backward, node: onnx.NodeProto, g: str, position: int) -> str:
    """The adjoint goes to the extreme input; where two are equal, to the first of those that have a derivative."""
    if len(node.input) > 2:
        raise back.refusal("has more than two inputs")
    own, other = node.input[position], node.input[1 - position]
    greater = node.op_type == "Max"
    if position and back.needs(other):
        return _where(back, back.op("Greater" if greater else "Less", own, other), g)
    return _where(back, back.op("Not", back.op("Less" if greater else "Greater", own, other)), g)


@_broadcasting("Where")
def _select(back: Backward, node: onnx.NodeProto, g: str, position: int) -> str:
    condition, zero = node.input[0], back.constant(0.0)
    return back.op("Where", condition, g, zero) if position == 1 else back.op("Where", condition, zero, g)


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def _reshape(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    return [back.reshaped(given[0], node.input[0])]


@rule("Transpose")
def _transpose(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    order = back.attribute("perm", list(range(len(back.shape(node.input[0]))))[::-1])
    return [back.op("Transpose", given[0], perm=np.argsort(order).tolist())]


@rule("ReverseSequence")
def _reverse(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    axes = {"batch_axis": back.attribute("batch_axis", 1), "time_axis": back.attribute("time_axis", 0)}
    return [back.op("ReverseSequence", given[0], node.input[1], **axes)]


@rule("Concat")
def _concat(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    axis = back.attribute("axis")
    if None in [back.shape(name)[axis] for name in node.input]:
        return _parts_of_free_sizes(back, node, given[0], axis)
    sizes = [back.sizes(name, [axis])[0] for name in node.input]
    starts = accumulate(sizes, initial=0)
    return [
        _sliced(back, given[0], axis, start, start + size) if back.needs(name) else None
        for name, size, start in zip(node.input, sizes, starts, strict=False)
    ]


def _parts_of_free_sizes(back: Backward, node: onnx.NodeProto, adjoint: str, axis: int) -> Adjoints:
    """What of an adjoint belongs to each of several inputs, whose sizes only the graph knows."""
    place, found, start = back.constant([axis], np.int64), [], back.constant([0], np.int64)
    for name in node.input:
        stop = back.op("Add", start, back.op("Gather", back.op("Shape", name), place))
        found.append(back.op("Slice", adjoint, start, stop, place) if back.needs(name) else None)
        start = stop
    return found


@rule("Split")
def _split(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    return [back.op("Concat", *given, axis=back.attribute("axis", 0))]


def _sliced(back: Backward, tensor: str, axis: int, start: int, stop: int) -> str:
    return back.op("Slice", tensor, *(back.constant([number], np.int64) for number in (start, stop, axis)))


@rule("Slice")
def _slice(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    source, (g,) = node.input[0], given
    shape = back.shape(source)
    starts, stops = (back.value(name).tolist() for name in node.input[1:3])
    more = [back.value(name).tolist() if name else None for name in node.input[3:]]
    axes, steps = (*more, None, None)[:2]
    before, after = [0] * len(shape), [0] * len(shape)
    for i, axis in enumerate(axes or range(len(starts))):
        axis, step = axis % len(shape), 1 if steps is None else steps[i]
        if shape[axis] is None and (starts[i], step) == (0, 1) and stops[i] >= TO_THE_END:
            continue
        if shape[axis] is None and step == 1:
            g = _padded_to(back, g, source, axis, starts[i])
            continue
        (size,) = back.sizes(source, [axis])
        taken = range(size)[slice(starts[i], stops[i], step)]
        if step == 1:
            before[axis], after[axis] = taken.start, size - taken.stop
        else:
            g = _scattered(back, g, len(shape), axis, list(taken), size)
    if any(before + after):
        g = back.op("Pad", g, back.constant(before + after, np.int64))
    return [g]


def _padded_to(back: Backward, adjoint: str, source: str, axis: int, start: int) -> str:
    """Zeros around what was taken from ``start`` on, along an axis whose size only the graph knows."""
    rank, place = len(back.shape(source)), back.constant([axis], np.int64)
    whole, part = (back.op("Gather", back.op("Shape", name), place) for name in (source, adjoint))
    before = back.constant([start], np.int64)
    if start < 0:
        before = back.op("Add", whole, before)
    after = back.op("Sub", back.op("Sub", whole, part), before)
    left, right = (back.constant([0] * count, np.int64) for count in (axis, rank - axis - 1))
    parts = [left, before, right, left, after, right]
    return back.op("Pad", adjoint, back.op("Concat", *parts, axis=0))


@rule("Gather")
def _gather(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    source, indices = node.input
    rank = len(back.shape(source))
    axis = back.attribute("axis", 0) % rank
    (size,) = back.sizes(source, [axis])
    chosen = back.value(indices)
    if chosen.ndim > 1:
        raise back.refusal("has indices of several axes")
    (g,) = given
    if chosen.ndim == 0:
        g = back.unsqueezed(g, [axis])
    return [_scattered(back, g, rank, axis, np.atleast_1d(chosen).tolist(), size)]


@rule("GatherND")
def _gather_nd(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    """What was taken at computed positions is added up there."""
    if back.opset < 16:
        raise back.refusal("takes computed positions, whose gradient needs opset 16 or higher")
    source, positions = node.input
    batch_dims = back.attribute("batch_dims", 0)
    if batch_dims > 1:
        raise back.refusal("takes positions within more than the rows of the batch")
    if batch_dims:
        positions = _with_rows(back, positions)
    return [back.op("ScatterND", back.filled(source, 0.0), positions, given[0], reduction="add")]


def _with_rows(back: Backward, positions: str) -> str:
    """Positions within each row, preceded by the number of the row."""
    zero, one = back.constant(0, np.int64), back.constant(1, np.int64)
    count = back.op("Gather", back.op("Shape", positions), zero)
    column = back.constant([-1] + [1] * (len(back.shape(positions)) - 1), np.int64)
    rows = back.op("Reshape", back.op("Range", zero, count, one), column)
    zeros = back.op("Mul", _sliced(back, positions, -1, 0, 1), zero)
    return back.op("Concat", back.op("Add", rows, zeros), positions, axis=-1)


def _scattered(back: Backward, g: str, rank: int, axis: int, indices: list[int], size: int) -> str:
    """Adjoint of what was taken at indices along an axis of the given size."""
    places = np.asarray(indices) % size
    if sorted(places.tolist()) == list(range(size)):
        return back.op("Gather", g, back.constant(np.argsort(places), np.int64), axis=axis)
    order = [i for i in range(rank) if i != axis] + [axis]
    taken = back.op("Transpose", g, perm=order)
    spread = back.op("MatMul", taken, back.constant(np.eye(size)[places]))
    return back.op("Transpose", spread, perm=np.argsort(order).tolist())


@rule("Pad")
def _pad(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    if back.attribute("mode", b"constant") != b"constant":
        raise back.refusal("repeats elements")
    pads = back.value(node.input[1]).reshape(2, -1)
    if (pads < 0).any():
        raise back.refusal("cuts elements off")
    stops = [-int(after) if after else 2**31 - 1 for after in pads[1]]
    return [back.op("Slice", given[0], back.constant(pads[0], np.int64), back.constant(stops, np.int64))]


def _reduced(back: Backward, node: onnx.NodeProto) -> tuple[list[int], bool]:
    """Axes of a reduction, and whether they are kept with size one."""
    rank = len(back.shape(node.input[0]))
    axes = back.axes(1)
    return [axis % rank for axis in (range(rank) if axes is None else axes)], bool(back.attribute("keepdims", 1))


@rule("ReduceSum")
def _reduce_sum(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    axes, kept = _reduced(back, node)
    return [back.repeated(given[0], node.input[0], axes, kept) if axes else given[0]]


@rule("ReduceMean")
def _reduce_mean(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    axes, kept = _reduced(back, node)
    return [back.repeated(back.shared(given[0], node.input[0], axes), node.input[0], axes, kept)]


@rule("ReduceMax", "ReduceMin")
def _reduce_extremum(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    """Share an adjoint among equal extremes."""
    source = node.input[0]
    axes, kept = _reduced(back, node)
    extreme, g = (back.repeated(name, source, axes, kept) for name in (node.output[0], given[0]))
    among = back.op("Cast", back.op("Equal", source, extreme), to=TensorProto.FLOAT)
    return [back.op("Div", back.op("Mul", g, among), back.summed(among, axes, keep=True))]


@rule("MatMul")
def _matmul(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    (a, b), (g,) = node.input, given
    ranks = [len(back.shape(name)) for name in (a, b)]
    if min(ranks) < 2:
        raise back.refusal("multiplies by a vector")
    found: list[str | None] = [None, None]
    if back.needs(a):
        found[0] = _summed_batch(back, back.op("MatMul", g, _swapped(back, b)), a, max(ranks), node.output[0])
    if back.needs(b):
        found[1] = _summed_batch(back, back.op("MatMul", _swapped(back, a), g), b, max(ranks), node.output[0])
    return found


def _summed_batch(back: Backward, adjoint: str, name: str, rank: int, product: str) -> str:
    shape: list[Dim] = [*back.shape(product)[: rank - 2], *back.shape(name)[-2:]]
    return back.unbroadcast(adjoint, name, shape)


def _swapped(back: Backward, name: str) -> str:
    """A tensor with its last two axes exchanged."""
    if back.is_constant(name):
        return back.constant(np.swapaxes(back.value(name), -1, -2))
    order = list(range(len(back.shape(name))))
    return back.op("Transpose", name, perm=[*order[:-2], order[-1], order[-2]])


@rule("Gemm")
def _gemm(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    (_, b, *rest), (g,) = node.input, given
    if back.needs(b) or any(map(back.needs, rest)):
        raise back.refusal("has weights that depend on an input")
    transposed = back.attribute("transB", 0)
    scaled = g if back.attribute("alpha", 1.0) == 1 else _times(back, g, back.attribute("alpha"))
    adjoint = back.op("MatMul", scaled, b if transposed else _swapped(back, b))
    return [back.op("Transpose", adjoint, perm=[1, 0]) if back.attribute("transA", 0) else adjoint]


@rule("Conv")
def _conv(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    source, weights = node.input[:2]
    window = _Window(back, node, source, back.shape(weights)[2:])
    return [window.transposed(given[0], weights, group=back.attribute("group", 1))]


@rule("AveragePool")
def _average_pool(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    """Write it as the convolution of each channel with equal weights."""
    source = node.input[0]
    kernel = back.attribute("kernel_shape")
    window = _Window(back, node, source, kernel)
    if any(window.before + window.after) or back.attribute("ceil_mode", 0):
        raise back.refusal("averages over an edge")
    (channels,) = back.sizes(source, [1])
    weights = back.constant(np.full((channels, 1, *kernel), 1 / math.prod(kernel)))
    return [window.transposed(given[0], weights, group=channels)]


@rule("GlobalAveragePool")
def _global_average_pool(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    axes = list(range(2, len(back.shape(node.input[0]))))
    return [back.repeated(back.shared(given[0], node.input[0], axes), node.input[0], axes, kept=True)]


@rule("ConvTranspose")
def _conv_transpose(back: Backward, node: onnx.NodeProto, given: list[str]) -> Adjoints:
    source, weights = node.input[:2]
    if back.needs(weights):
        raise back.refusal("has weights that depend on an input")
    axes = range(2, len(back.shape(source)))
    sizes, made = back.sizes(source, axes), back.sizes(node.output[0], axes)
    kernel = back.sizes(weights, axes)
    strides, dilations = (back.attribute(name, [1] * len(sizes)) for name in ("strides", "dilations"))
    more = back.attribute("output_padding", [0] * len(sizes))
    whole = [s * (n - 1) + d * (k - 1) + 1 + m for n, k, s, d, m in zip(sizes, kernel, strides, dilations, more, strict=True)]
    cut = [max(full - size, 0) for full, size in zip(whole, made, strict=True)]
    match back.attribute("auto_pad", b"NOTSET"):
        case b"NOTSET" if back.attribute("output_shape") is None:
            pads = back.attribute("pads", [0] * 2 * len(sizes))
        case b"SAME_UPPER":
            pads = [c // 2 for c in cut] + [c - c // 2 for c in cut]
        case _:  # SAME_LOWER, and NOTSET with an output's shape, by the standard
            pads = [c - c // 2 for c in cut] + [c // 2 for c in cut]
    convolve = partial(back.op, "Conv", given[0], weights, kernel_shape=kernel, strides=strides, dilations=dilations)
    return [convolve(pads=pads, group=back.attribute("group", 1))]


class _Window:
    """Strides, dilations and padding of a convolution or pooling, with explicit padding."""

    def __init__(self, back: Backward, node: onnx.NodeProto, source: str, kernel: Sequence[Dim]) -> None:
        self.back = back
        axes = range(2, len(back.shape(source)))
        if any(map(back.needs, node.input[1:])):
            raise back.refusal("has weights that depend on an input")
        self.kernel = [k for k in kernel if k is not None]
        ones = [1] * len(self.kernel)
        self.strides, self.dilations = back.attribute("strides", ones), back.attribute("dilations", ones)
        self.source, pads = source, back.attribute("pads", [0] * 2 * len(ones))
        self.free = back.attribute("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID") and None in [
            back.shape(source)[axis] for axis in axes
        ]
        """Whether the input may have several sizes, so that only the graph knows what no window reaches."""
        if self.free:
            self.before, self.after, self.unseen = list(pads[: len(ones)]), list(pads[len(ones) :]), [0] * len(ones)
            if any(self.after) and set(self.strides) != {1}:
                back.sizes(source, axes)  # refuses: what no window reaches may lie in the padding
            return
        reach = [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]
        sizes, made = back.sizes(source, axes), back.sizes(node.output[0], axes)
        extent = [(n - 1) * s + r for n, s, r in zip(made, self.strides, reach, strict=True)]
        match back.attribute("auto_pad", b"NOTSET"):
            case b"NOTSET":
                self.before, self.after = list(pads[: len(sizes)]), list(pads[len(sizes) :])
            case b"VALID":
                self.before, self.after = [0] * len(sizes), [0] * len(sizes)
            case same:
                missing = [max(e - size, 0) for e, size in zip(extent, sizes, strict=True)]
                halves = [m // 2 for m in missing], [m - m // 2 for m in missing]
                self.before, self.after = halves if same == b"SAME_UPPER" else halves[::-1]
        padded = (size + b + a for size, b, a in zip(sizes, self.before, self.after, strict=True))
        self.unseen = [p - e for p, e in zip(padded, extent, strict=True)]
        """Elements at the end that no window reaches."""

    def transposed(self, adjoint: str, weights: str, group: int) -> str:
        """The adjoint of the input."""
        found = self.back.op(
            "ConvTranspose",
            adjoint,
            weights,
            kernel_shape=self.kernel,
            strides=self.strides,
            dilations=self.dilations,
            pads=self.before + self.after,
            output_padding=self.unseen,
            group=group,
        )
        if not self.free or set(self.strides) == {1}:
            return found
        back = self.back
        missing = back.op("Sub", back.op("Shape", self.source), back.op("Shape", found))
        none = back.constant([0] * (2 + len(self.kernel)), np.int64)
        return back.op("Pad", found, back.op("Concat", none, missing, axis=0))
