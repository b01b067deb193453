"""Monotone maps of single variables in double precision, of several columns at once.

They are written with the operations that ONNX Runtime has in double precision on any CPU, at opset 11 too: logarithm,
exponential, sigmoid, root, comparison, maximum and minimum, products.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from zoo.families.flows.probit import MIDDLE, TAIL

EDGE = 1e-12
"""Least distance from a bound that is told from it, as a fraction of the interval."""
TINY = float(np.finfo(np.float64).tiny)
LARGEST = 700.0
"""An exponent whose exponential is still finite."""
LEAST_WIDTH, MOST_WIDTH = 1e-290, 1e290
"""Widths whose products with EDGE, and sums with any offset, double precision holds."""
ROOM = 1000
"""Numbers of double precision that a width must hold at its offset."""


class Map:
    """A monotone map of k columns, each with numbers of its own.

    Parameters
    ----------
    entries : sequence of dict of str to float
        The numbers of each column.

    Raises
    ------
    ValueError
        Numbers are out of order, or double precision cannot hold the width at the offset.
    """

    required: ClassVar[list[list[str]]]
    """The sets of numbers, of which an entry has one."""
    optional: ClassVar[list[str]] = []
    arrays: ClassVar[list[str]] = []
    """Numbers of which an entry has a row each."""
    alone: ClassVar[bool] = False
    """Whether it takes one column only."""
    low: np.ndarray
    """Lower end of the support, (k,), minus infinity where there is none."""
    high: np.ndarray
    step: tuple[np.ndarray, np.ndarray]
    """About how far x moves with u, two arrays (k,): |dx/du| is up to the first, plus the second times |x|."""

    def __init__(self, entries: Sequence[dict[str, Any]]) -> None:
        self.low = np.array([entry.get("low", -np.inf) for entry in entries], np.float64)
        self.high = np.array([entry.get("high", np.inf) for entry in entries], np.float64)
        for low, high in zip(self.low, self.high, strict=True):
            if not low < high:
                raise ValueError(f"expected low < high, given {low:.17g} and {high:.17g}")

    def to_base(self, x):
        """Map x (..., k) to u, with log du/dx, all float64."""
        raise NotImplementedError

    def from_base(self, u):
        """Map u (..., k) back to x, float64."""
        raise NotImplementedError

    def _kept(self, x):
        """Keep x off the ends of its support, which rounding reaches."""
        for end, towards, bound in ((self.low, np.inf, ops.maximum), (self.high, -np.inf, ops.minimum)):
            if np.isfinite(end).any():
                inner = np.where(end == 0, np.sign(towards) * TINY, np.nextafter(end, towards))
                x = bound(x, constant(inner))
        return x


class Linear(Map):
    """The map u = (x - origin) / width."""

    required: ClassVar = [["origin", "width"]]

    def __init__(self, entries) -> None:
        super().__init__(entries)
        self.origin, self.width = (np.array([entry[key] for entry in entries], np.float64) for key in ("origin", "width"))
        for origin, width in zip(self.origin, self.width, strict=True):
            expect_room(width, origin)
        self.step = self.width, np.zeros(len(self.width))

    def to_base(self, x):
        u = (x - constant(self.origin)) / constant(self.width)
        return u, ops.zeros_like(u) - constant(np.log(self.width))

    def from_base(self, u):
        return constant(self.origin) + constant(self.width) * u


class Asinh(Linear):
    """The map u = asinh((x - origin) / width): linear near the origin, logarithmic far from it on both sides."""

    def __init__(self, entries) -> None:
        super().__init__(entries)
        self.step = self.width, self.width / np.maximum(self.width, np.abs(self.origin))

    def to_base(self, x):
        u, log_slope = super().to_base(x)
        size = ops.minimum(ops.abs(u), constant(MOST_WIDTH))
        more, less = ops.maximum(size, constant(1.0)), ops.minimum(size, constant(1.0))
        root = more * ops.sqrt(1.0 + ops.square(less / more))  # of 1 + u^2, whose square may be infinite
        return ops.sign(u) * ops.log(size + root), log_slope - ops.log(root)

    def from_base(self, u):
        u = ops.maximum(ops.minimum(u, constant(LARGEST)), constant(-LARGEST))
        return super().from_base(0.5 * (ops.exp(u) - ops.exp(-u)))


class Logit(Map):
    """The logit of the share of [low, high] that lies below x."""

    required: ClassVar = [["low", "high"]]
    steepest: ClassVar[float] = 0.25
    """How far the share moves with u at most."""

    def __init__(self, entries) -> None:
        super().__init__(entries)
        for low, high in zip(self.low, self.high, strict=True):
            expect_room(high - low, low, high)
        self._set_ends(self.low, self.high)
        self.step = self.steepest * self._width, np.zeros(len(self._width))

    def _set_ends(self, start: np.ndarray, end: np.ndarray) -> None:
        self._start, self._end, self._width = start, end, end - start
        self._least = EDGE * self._width

    def to_base(self, x):
        below = ops.log(ops.maximum(x - constant(self._start), constant(self._least)))
        above = ops.log(ops.maximum(constant(self._end) - x, constant(self._least)))
        return below - above, constant(np.log(self._width)) - below - above

    def from_base(self, u):
        return self._kept(self._inside(u))

    def _inside(self, u):
        """Start from the nearer end, so that what lies close to an end at zero keeps its digits."""
        away = constant(self._width) * ops.sigmoid(-ops.abs(u))
        return ops.where(u < constant(0.0), constant(self._start) + away, constant(self._end) - away)


class Probit(Logit):
    """About the standard normal's quantile of the share of [low, high] that lies below x, in a closed form.

    It is a l (1 + (l / k)^2)^(-1/4) of the logit l, with the probit's slope in the middle and its sqrt(2 |l|) in the tails. A
    uniform x becomes nearly normal, and a density that does not end at a bound is there as a normal times a factor that hardly
    changes, which a flow may leave alone. The tails of a logit are exponential: a flow has to draw them in from the few rows
    near a bound, and has spurious peaks there (`benchmarks/bounded_priors.py`).
    """

    steepest: ClassVar = 0.25 / MIDDLE

    def to_base(self, x):
        logit, log_slope = super().to_base(x)
        squared = ops.square(logit / constant(TAIL))
        log_root = 0.25 * ops.log(1.0 + squared)
        u = MIDDLE * logit * ops.exp(-log_root)
        return u, log_slope + ops.log(MIDDLE + 0.5 * MIDDLE * squared) - 5.0 * log_root

    def _inside(self, u):
        straight = u / constant(MIDDLE)
        half = 0.5 * ops.square(straight / constant(TAIL))
        return super()._inside(straight * ops.sqrt(half + ops.sqrt(1.0 + half * half)))


class _OfLogarithm(Logit):
    """A map of ln x between ln low and ln high."""

    def __init__(self, entries) -> None:
        super().__init__(entries)
        if not (self.low > 0).all():
            raise ValueError(f"expected a positive low, given {self.low.min():g}")
        self._set_ends(np.log(self.low), np.log(self.high))
        self.step = np.zeros(len(self._width)), self.steepest * self._width

    def to_base(self, x):
        x = ops.log(ops.minimum(ops.maximum(x, constant(self.low)), constant(self.high)))
        u, log_slope = super().to_base(x)
        return u, log_slope - x

    def from_base(self, u):
        return self._kept(ops.exp(self._inside(u)))


class LogLogit(_OfLogarithm):
    """The logit of the share of [ln low, ln high] that lies below ln x."""


class LogProbit(_OfLogarithm, Probit):
    """The `Probit` of the share of [ln low, ln high] that lies below ln x."""


class Log(Map):
    """The logarithm of the distance from one end, over a width: ln((x - low) / width), or -ln((high - x) / width)."""

    required: ClassVar = [["low", "width"], ["high", "width"]]

    def __init__(self, entries) -> None:
        super().__init__(entries)
        above = np.isfinite(self.low)
        self._end, self._sign = np.where(above, self.low, self.high), np.where(above, 1.0, -1.0)
        width = np.array([entry["width"] for entry in entries], np.float64)
        for each, end in zip(width, self._end, strict=True):
            expect_room(each, end)
        self._log_width = np.log(width)
        self.step = np.where(self._end == 0, 0, width), width / np.maximum(width, np.abs(self._end))

    def to_base(self, x):
        distance = constant(self._sign) * (x - constant(self._end))
        logarithm = ops.log(ops.maximum(distance, constant(TINY)))
        return constant(self._sign) * (logarithm - constant(self._log_width)), -logarithm

    def from_base(self, u):
        logarithm = ops.minimum(constant(self._sign) * u + constant(self._log_width), constant(LARGEST))
        return self._kept(constant(self._end) + constant(self._sign) * ops.exp(logarithm))


class Table(Map):
    """A rational-quadratic spline through quantiles of a law and the standard normal's (Gregory & Delbourgo 1982).

    The spline is of the logit where the law has two ends, of the logarithm of the distance where it has one, and of x itself
    where it has none. Beyond the outermost quantiles it goes on in a straight line.
    """

    required: ClassVar = [["values", "normal"]]
    optional: ClassVar = ["low", "high"]
    arrays: ClassVar = ["values", "normal"]
    alone: ClassVar = True

    def __init__(self, entries) -> None:
        super().__init__(entries)
        (entry,) = entries
        values, normal = (np.asarray(entry[key], np.float64) for key in self.arrays)
        if len(values) != len(normal) or len(values) < 3:
            raise ValueError(f"expected three or more values and as many of normal, given {len(values)} and {len(normal)}")
        if not ((np.diff(values) > 0).all() and (np.diff(normal) > 0).all()):
            raise ValueError("expected values and normal that increase from each to the next")
        if not (self.low[0] < values[0] and values[-1] < self.high[0]):
            raise ValueError("expected values between low and high, not on them")
        self._outer = _outer(entry, values)
        with double():
            knots = ops.convert_to_numpy(self._outer.to_base(values[:, None])[0])[:, 0]
        steps, rises = np.diff(knots), np.diff(normal)
        if (steps < ROOM * np.finfo(np.float64).eps).any():
            raise ValueError("expected values that double precision tells apart, and from low and high")
        secants = rises / steps
        first, second = steps[1:] + 2 * steps[:-1], 2 * steps[1:] + steps[:-1]
        slopes = (first + second) / (second / secants[:-1] + first / secants[1:])  # Fritsch and Butland's mean
        slopes = np.concatenate([secants[:1], slopes, secants[-1:]])
        self._bins = np.stack([knots[:-1], steps, normal[:-1], rises, slopes[:-1], slopes[1:]], axis=1)
        self._knots, self._normal, self._slopes = knots, normal, slopes
        absolute, relative = self._outer.step
        self.step = absolute / np.median(slopes), relative / np.median(slopes)

    def to_base(self, x):
        x, outer_slope = self._outer.to_base(x)
        inside = ops.minimum(ops.maximum(x, constant(self._knots[0])), constant(self._knots[-1]))
        x0, step, u0, rise, slope0, slope1 = self._bin(inside, self._knots)
        at, mean = (inside - x0) / step, rise / step
        left, twice = 1.0 - at, 2.0 * mean
        squared, between = at * at, at * left
        denominator = mean + (slope0 + slope1 - twice) * between
        u = u0 + rise * (mean * squared + slope0 * between) / denominator
        slope = slope1 * squared + twice * between + slope0 * left * left
        log_slope = ops.log(slope) + 2.0 * ops.log(mean / denominator)
        return u + self._beyond(x - inside, self._slopes), outer_slope + log_slope

    def from_base(self, u):
        inside = ops.minimum(ops.maximum(u, constant(self._normal[0])), constant(self._normal[-1]))
        x0, step, u0, rise, slope0, slope1 = self._bin(inside, self._normal)
        mean, above = rise / step, inside - u0
        bend = above * (slope0 + slope1 - 2.0 * mean)
        a, b, c = rise * (mean - slope0) + bend, rise * slope0 - bend, -mean * above
        x = x0 + step * 2.0 * c / (-b - ops.sqrt(ops.maximum(b * b - 4.0 * a * c, constant(0.0))))
        return self._outer.from_base(x + self._beyond(u - inside, 1.0 / self._slopes))

    def _beyond(self, distance, slopes: np.ndarray):
        """What a distance beyond the outermost knots, negative below the first, makes along straight lines."""
        below, above = ops.minimum(distance, constant(0.0)), ops.maximum(distance, constant(0.0))
        return below * slopes[0] + above * slopes[-1]

    def _bin(self, at, ends: np.ndarray):
        """Start and size in x, start and size in u, and the slopes at both ends, of the bin that each is in; by comparison."""
        passed = ops.cast(at >= constant(ends[1:-1]), "float64")
        no, yes = ops.zeros_like(at), ops.ones_like(at)
        chosen = ops.concatenate([yes, passed], axis=-1) - ops.concatenate([passed, no], axis=-1)
        found = ops.matmul(chosen, constant(self._bins))
        return tuple(found[..., i : i + 1] for i in range(6))


def _outer(entry: dict[str, Any], values: np.ndarray) -> Map:
    """The map of a table's values that its ends ask for."""
    ends = {key: entry[key] for key in ("low", "high") if key in entry}
    middle = float(values[len(values) // 2])
    if len(ends) == 2:
        return Logit([ends])
    if ends:
        return Log([{**ends, "width": abs(middle - next(iter(ends.values())))}])
    return Linear([{"origin": middle, "width": float(values[-1] - values[0])}])


MAPS: dict[str, type[Map]] = {
    "linear": Linear,
    "logit": Logit,
    "log": Log,
    "log-logit": LogLogit,
    "probit": Probit,
    "log-probit": LogProbit,
    "asinh": Asinh,
    "table": Table,
}


def double() -> AbstractContextManager:
    """Where JAX holds float64, as the other backends always do; without it, JAX makes float32 of float64 in silence."""
    if keras.backend.backend() != "jax":
        return nullcontext()
    import jax
    from jax import experimental

    enable: Any = vars(jax if hasattr(jax, "enable_x64") else experimental)["enable_x64"]  # jax before 0.8 has it in the other
    context: AbstractContextManager = enable(True)
    return context


def constant(value):
    """A number or row of numbers as float64, of the backend."""
    return ops.convert_to_tensor(np.asarray(value, np.float64))


def expect_room(width: float, *offsets: float) -> None:
    """Refuse a width that double precision does not resolve at its offset, or whose reciprocals it cannot hold."""
    if not LEAST_WIDTH <= width <= MOST_WIDTH:
        raise ValueError(f"expected a width from {LEAST_WIDTH:g} to {MOST_WIDTH:g}, given {width:g}")
    step = max(np.spacing(abs(offset)) for offset in offsets)
    if width < ROOM * step:
        raise ValueError(
            f"a width of {width:g} at {max(map(abs, offsets)):.17g} holds {width / step:.0f} numbers of double precision:"
            " count from an origin nearby"
        )
