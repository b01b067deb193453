"""What is looked at before the first step of a fine-tuning: every row once, and every wrong one named."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from zoo.data.dataset import Dataset, FromUser, Rows, Split
from zoo.data.jets.checked import expect_gev
from zoo.errors import InputError, option
from zoo.families.base import ZooModel
from zoo.families.batches import answer, rows_at_once
from zoo.model.axes import Strict
from zoo.model.inputs import along
from zoo.model.jet import WIDEST, Jet
from zoo.model.jet_check import REACH, measured, other_momentum, real_padding, seen
from zoo.model.pdg_codes import are_pdg_codes, expect_both_signs, signs
from zoo.model.spec import ModelSpec, Tensor
from zoo.progress import track
from zoo.training.weights import effective, expect_positive_classes, relative_weights

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
SHIFT, RATIO = 0.5, 2.0
"""Limits beyond which an input has drifted, in deviations of the parent's training rows, beside three errors of the sample."""
UNIQUE = 3
"""Numbers in a row up to which it may well be there twice."""
FEW = 100
"""Test rows below which what is measured says little."""
RARE = 0.1
"""Share of a class below which classes are unbalanced."""


class Drift(Strict):
    """One input of the training rows, in units of the deviation of the parent's."""

    mean: float
    """Shift of the element that moved most; 0 without drift."""
    deviation: float
    """Ratio of the element whose deviation changed most; 1 without drift."""


class Checked(Strict):
    """What was found in the data."""

    rows: dict[str, int]
    groups: dict[str, int]
    classes: dict[str, list[int]] = {}
    """Rows of each class in each split."""
    extremes: dict[str, tuple[Any, Any]]
    """Smallest and largest of each input in the training rows, of each element unless the card has one bound for all."""
    jets: dict[str, Jet] = {}
    """Of each input of particles the training jets: their radius, and their smallest and largest transverse momentum."""
    drift: dict[str, Drift] = {}
    warnings: list[str] = []
    sha256: str
    """Hash of all rows."""


def check(dataset: Dataset, model: ZooModel, spec: ModelSpec) -> Checked:
    """Look at every row of a data set once.

    Parameters
    ----------
    model : ZooModel
        The model that is to be trained, with the scaling of its parent.
    spec : ModelSpec
        Spec of the parent. An input of which it has no trained range has nothing to drift from, such as one of another length.

    Raises
    ------
    InputError
        Inputs have other names or shapes, NaN or infinity, or particles whose momenta no jet has or whose identities have no
        sign; targets are all the same or of one class; or rows of the training split are also held out.
    """
    inputs = spec.endpoint(model.data_endpoint).inputs
    splits = {split: dataset.rows(split) for split in SPLITS}
    for split, rows in splits.items():
        _expect_shapes(rows, inputs, model, split)
        relative_weights(rows, f"{split} rows")
    passes = {split: _Pass(rows, inputs, model, split, row_numbers(dataset, split, rows)) for split, rows in splits.items()}
    for tensor in inputs:
        expect_both_signs(tensor.name, np.sum([found.signs[tensor.name] for found in passes.values()], axis=0))
    warnings = _leakage(passes, inputs)
    train = passes["train"]
    classes: dict[str, list[int]] = {}
    if model.classes:
        classes |= {split: _counts(rows, model.classes, split) for split, rows in splits.items()}
        for split, rows in splits.items():
            expect_positive_classes(rows, f"{split} rows")
        shares = np.bincount(np.asarray(splits["train"].target[:])[:, 0].astype(int), splits["train"].weight)
        rarest = shares.min() / shares.sum()
        if rarest < RARE:
            warnings.append(
                f"classes are unbalanced: {', '.join(map(str, classes['train']))} training rows of each; probabilities will"
                " follow these shares"
            )
    elif train.target_range == 0 and model.own_target(splits["train"].inputs) is None:
        raise InputError("the target is the same in every training row: there is nothing to learn from it")
    for tensor in inputs:
        if outside := sum(found.outside[tensor.name] for found in passes.values()):
            total = sum(map(len, splits.values()))
            warnings.append(
                f"{outside} of {total} rows have {tensor.name} outside the range that {spec.name} was trained in: right where"
                f" the data are new, wrong where the unit is another than {tensor.unit}"
            )
    for tensor in inputs:
        jets = train.jets.get(tensor.name)
        if jets is not None and jets.radius > WIDEST:
            raise InputError(
                f"{tensor.name}: expected particles within {WIDEST:g} of the axis of their jet, given jets that reach"
                f" {jets.radius:g}: are rapidity and azimuth in each other's place, or those of whole events?"
            )
        if jets is not None and tensor.jet is not None and jets.radius != tensor.jet.radius:
            warnings.append(
                f"{tensor.name}: the training jets reach as far as those of radius {jets.radius:g}, where {spec.name} was"
                f" trained on radius {tensor.jet.radius:g}"
            )
    for name, drift in train.drift.items():
        n = len(splits["train"])
        if abs(drift.mean) > SHIFT + 3 / np.sqrt(n) or not 1 / (RATIO + 3 / np.sqrt(n)) < drift.deviation < RATIO + 3 / np.sqrt(
            n
        ):
            warnings.append(
                f"{name} has drifted from what {spec.name} was trained on: an element's mean by {drift.mean:.3g} deviations, an"
                f" element's deviation to {drift.deviation:.3g} times; {option('restandardize')} measures scales anew"
            )
    groups: dict[str, int] = {split: len(np.unique(rows.group)) for split, rows in splits.items()}
    if groups["test"] < FEW:
        warnings.append(f"only {groups['test']} independent test rows: the intervals of what is measured on them are wide")
    if (weight := splits["test"].weight) is not None and effective(weight) < FEW:
        warnings.append(
            f"event weights leave {len(weight)} test rows the worth of {effective(weight):.0f}: the intervals of what is"
            " measured on them are wide"
        )
    return Checked(
        rows={split: len(rows) for split, rows in splits.items()},
        groups=groups,
        classes=classes,
        extremes=train.extremes,
        jets=train.jets,
        drift=train.drift,
        warnings=warnings,
        sha256=hashlib.sha256(b"".join(found.digest for found in passes.values())).hexdigest(),
    )


def row_numbers(dataset: Dataset, split: Split, rows: Rows) -> np.ndarray:
    """Which row of the user's each row of a split is, (n,), for messages."""
    return dataset.numbers(split) if isinstance(dataset, FromUser) else np.arange(len(rows))


def expect_fixed(target: Tensor) -> None:
    """Refuse a target that has free axes, whose rows have no common shape that a column could hold."""
    if target.free:
        raise InputError(
            f"{target.name} has free axes ({', '.join(target.free)}), and columns of a target hold rows of one shape: in place"
            " of columns, give a data set whose three splits have rows of so many elements, padding among them"
        )


def _expect_shapes(rows: Rows, inputs: list[Tensor], model: ZooModel, split: str) -> None:
    names = [tensor.name for tensor in inputs]
    if list(rows.inputs) != names:
        raise InputError(f"{split} rows: expected the inputs {', '.join(names)}, given {', '.join(rows.inputs) or 'none'}")
    if not len(rows):
        raise InputError(f"{split} rows: expected some, given none")
    for tensor in inputs:
        shape = tuple(rows.inputs[tensor.name].shape[1:])
        many = model.asks_many and tensor is inputs[-1] and len(shape) == 1 and shape[0] % tensor.fixed_shape[0] == 0
        fits = len(shape) == len(tensor.axes) and all(axis.admits(size) for axis, size in zip(tensor.axes, shape, strict=True))
        if not fits and not many:
            wanted = [axis.name if axis.free else axis.size for axis in tensor.axes]
            raise InputError(f"{split} rows: expected {tensor.name} of shape (n, {_said(wanted)}), given (n, {_said(shape)})")


def _said(shape: Sequence[object]) -> str:
    return ", ".join(map(str, shape))


class _Pass:
    """One reading of a split: what is not finite, and what is no jet, is refused; extremes, moments and digests are kept."""

    def __init__(self, rows: Rows, inputs: list[Tensor], model: ZooModel, split: Split, numbers: np.ndarray) -> None:
        self.outside = dict.fromkeys(rows.inputs, 0)
        """Rows of which some number of each input is outside what the parent was trained on, each row once."""
        self.signs = {name: np.zeros(2, int) for name in rows.inputs}
        """Particles and antiparticles of each input of PDG codes, as `signs` counts them."""
        self.digests: dict[str, list[np.ndarray]] = {name: [] for name in (*rows.inputs, "")}
        self.told: list[np.ndarray] = []
        self.extremes: dict[str, tuple[Any, Any]] = {}
        self._jets: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        self._moments: list[list[Any]] = []
        known = {tensor.name: tensor for tensor in inputs}
        targets: list[tuple[float, float]] = []
        content = hashlib.sha256()
        size = rows_at_once(rows.inputs.values())
        for start in track(range(0, len(rows), size), f"checking the {split} rows"):
            part = slice(start, start + size)
            cut = {tensor.name: np.asarray(rows.inputs[tensor.name][part], tensor.dtype) for tensor in inputs}
            target = np.asarray(rows.target[part], np.float32)
            for name, array in {**cut, "the target": target}.items():
                _expect_finite(name, array, numbers[part])
            outside = self._look(cut, known)
            for tensor in inputs:
                if tensor.jet is not None and tensor.mask is not None:
                    others = self._look_at_jets(tensor, tensor.jet, cut[tensor.name], cut[tensor.mask], numbers[part])
                    outside[tensor.name] |= others
            for name, wrong in outside.items():
                self.outside[name] += int(np.count_nonzero(wrong))
            targets.append((float(target.min()), float(target.max())))
            content.update(self.digests[""][-1].tobytes() + target.tobytes())
            if rows.weight is not None:
                content.update(np.asarray(rows.weight[part], np.float64).tobytes())
            if split == "train":
                self._measure(answer(model.standardized, *cut.values()))
        self.jets: dict[str, Jet] = {}
        for name, parts in self._jets.items():
            pt, farthest = (np.concatenate(part) for part in zip(*parts, strict=True))
            if len(pt) and (jet := known[name].jet):
                self.jets[name] = measured(jet, pt, farthest)
        low, high = zip(*targets, strict=True)
        self.target_range = max(high) - min(low)
        self.digest = content.digest()
        self.found = {name: np.concatenate(parts) for name, parts in self.digests.items()}
        named = zip(rows.inputs, self._moments, strict=False)
        self.drift = {name: _drift(moments) for name, moments in named if not known[name].unbounded}

    def _look(self, cut: dict[str, np.ndarray], tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
        """Keep extremes and digests; which rows (n,) of each input have numbers outside its range or none of its values."""
        whole = np.zeros(len(next(iter(cut.values()))), np.uint64)
        outside: dict[str, np.ndarray] = {name: np.zeros(len(whole), bool) for name in cut}
        told = np.full(len(whole), all(tensor.mask is None for tensor in tensors.values()))
        for name, array in cut.items():
            tensor = tensors[name]
            mask = None if tensor.mask is None else cut[tensor.mask]
            if mask is not None:
                told |= mask.reshape(len(array), -1).any(axis=1)
            if tensor.dtype.startswith("float"):
                outside[name] = self._measure_range(tensor, array, mask)
            elif tensor.values is not None:
                unlisted = ~np.isin(array, tensor.values) & (True if mask is None else along(mask, array))
                outside[name] = _some(unlisted, len(array))
                if are_pdg_codes(tensor.values):
                    self.signs[name] += signs(array if mask is None else array[mask])
            digests = np.array([_digest(row) for row in array], np.uint64)
            self.digests[name].append(digests)
            whole = whole * np.uint64(0x9E3779B97F4A7C15) ^ digests
        self.digests[""].append(whole)
        self.told.append(told)
        return outside

    def _measure_range(self, tensor: Tensor, array: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """Keep the extremes of real elements; which rows (n,) have such elements outside the range."""
        low, high = (-np.inf if tensor.low is None else tensor.low), (np.inf if tensor.high is None else tensor.high)
        # A row may hold several queries, each of which counts.
        each = array if tensor.free else array.reshape(-1, *tensor.fixed_shape)
        real = np.ones(each.shape, bool) if mask is None else np.broadcast_to(along(mask, each), each.shape)
        outside = real & ((each < np.asarray(low, each.dtype)) | (each > np.asarray(high, each.dtype)))
        by_element = tensor.unbounded or isinstance(tensor.low, list) or isinstance(tensor.high, list)
        axes = tuple(range(each.ndim - 1)) if by_element else None
        least = np.min(each, axis=axes, where=real, initial=np.inf)
        most = np.max(each, axis=axes, where=real, initial=-np.inf)
        if np.isfinite(least).all():  # not where no element is real
            before = self.extremes.get(tensor.name, (least, most))
            self.extremes[tensor.name] = (np.minimum(least, before[0]), np.maximum(most, before[1]))
        return _some(outside, len(array))

    def _look_at_jets(self, tensor: Tensor, jet: Jet, array: np.ndarray, real: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Refuse real padding and what is in no GeV, keep what tells of jets; which rows (n,) the parent was not trained on."""
        if len(nothing := real_padding(array, real)):
            row, place = map(int, nothing[0])
            raise InputError(
                f"row {numbers[row]}, element {place} of {tensor.name}: expected a transverse momentum above 0 where"
                f" {tensor.mask} is true, given {array[row, place, 0]:.6g}; padding is not real"
            )
        there = real.any(axis=1)
        pt, farthest = seen(array, real)
        others = there & other_momentum(jet, pt)
        # What the parent was trained on is right, such as jets of a larger collider.
        total = np.where(real & others[:, None], array[..., 0], 0).sum(axis=1, dtype=np.float64)
        expect_gev(total, f"{tensor.name}, row", numbers, "give them in GeV, such as what is in MeV divided by 1000")
        self._jets.setdefault(tensor.name, []).append((pt[there], farthest[there]))
        return others | (there & (farthest > REACH * jet.radius))

    def _measure(self, standardized: tuple) -> None:
        for place, tensor in enumerate(standardized):
            values = ops.convert_to_numpy(tensor).astype(np.float64)
            values = values.reshape(-1, values.shape[-1]) if values.ndim > 1 else values[:, None]
            found = [len(values), values.sum(axis=0), np.square(values).sum(axis=0)]
            if place == len(self._moments):
                self._moments.append(found)
            else:
                self._moments[place] = [a + b for a, b in zip(self._moments[place], found, strict=True)]


def _some(wrong: np.ndarray, n: int) -> np.ndarray:
    """Which of n rows have an element that is true; each may stand as several queries."""
    return np.asarray(wrong.reshape(n, -1).any(axis=1))


def _digest(row: np.ndarray) -> int:
    return int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "little")


def _expect_finite(name: str, array: np.ndarray, numbers: np.ndarray) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        row, *element = map(int, np.argwhere(~finite)[0])
        where = f"row {numbers[row]}" + (f", element {', '.join(map(str, element))}" if element else "")
        raise InputError(
            f"{name}: expected finite numbers, given some that are NaN, infinite or missing, as in {where}, counted from 0:"
            " remove or repair such rows"
        )


def _drift(moments: list[Any]) -> Drift:
    n, total, squares = moments
    mean = total / n
    deviation = np.sqrt(np.maximum(squares / n - mean**2, 0))
    varying = deviation[deviation > 1e-3]  # what never changes did not in training either, where its scale is 1
    most = float(varying[np.argmax(np.abs(np.log(varying)))]) if varying.size else 1.0
    return Drift(mean=float(mean[np.argmax(np.abs(mean))]), deviation=most)


def _leakage(passes: dict[Split, _Pass], inputs: list[Tensor]) -> list[str]:
    """Rows of the training split that are held out too: an error, or a warning where rows are so short that they repeat."""
    widths = {tensor.name: UNIQUE + 1 if tensor.free else int(np.prod(tensor.fixed_shape, dtype=int)) for tensor in inputs}
    alone = {tensor.name for tensor in inputs if tensor.dtype.startswith("float")}  # masks and codes may well agree
    kinds = {"": sum(widths.values())} | {
        name: width for name, width in widths.items() if width > UNIQUE and len(widths) > 1 and name in alone
    }
    for name, width in kinds.items():
        for split in ("validation", "test"):
            told = np.concatenate(passes[split].told)  # rows without a real element are all the same
            same = int((np.isin(passes[split].found[name], passes["train"].found[name]) & told).sum())
            if not same:
                continue
            what = f"have the same {name}" if name else "are the same, target aside,"
            said = f"{same} of {len(passes[split].found[name])} {split} rows {what} as training rows"
            if width <= UNIQUE:
                return [f"{said}: if they come from the same source, name the column that tells sources apart as group"]
            raise InputError(
                f"{said}, so nothing measured on them would be held out: remove the duplicates, or name the column that tells"
                f" simulations or objects apart, {option('group', 'NAME')}"
            )
    return []


def _counts(rows: Rows, classes: int, split: str) -> list[int]:
    counts = np.bincount(np.asarray(rows.target[:])[:, 0].astype(int), minlength=classes)
    if (counts == 0).any():
        missing = int(np.flatnonzero(counts == 0)[0])
        raise InputError(
            f"no {split} row is of class {missing}: give more rows of it, in at least five groups where a group column is named"
        )
    return counts.tolist()
