"""The spec of a fine-tuned model: its parent's, with the ranges, inputs and outputs that have become others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from zoo.data.dataset import FromUser
from zoo.model.axes import TensorName, fixed_axes
from zoo.model.jet import Jet
from zoo.model.spec import Endpoint, ModelSpec, Tensor

if TYPE_CHECKING:
    from zoo.data.dataset import Dataset
    from zoo.families.base import ZooModel


def with_extremes(
    endpoints: dict[str, Endpoint], extremes: dict[str, tuple[Any, Any]], jets: Mapping[str, Jet]
) -> dict[str, Endpoint]:
    """Trained ranges that take in the new training rows, wherever these leave the parent's or the parent has none.

    Parameters
    ----------
    endpoints : dict of str to Endpoint
        The parent's.
    extremes : dict of str to tuple
        Smallest and largest of each input in the new training rows.
    jets : mapping of str to Jet
        The new training jets of each input that holds particles of jets.

    Returns
    -------
    dict of str to Endpoint
        The fine-tuned model's. Jets have the new radius, and the transverse momenta of both.
    """
    from zoo.workflows.trained_ranges import widened

    def extended(tensor: Tensor) -> Tensor:
        if tensor.jet is not None and tensor.name in jets:
            tensor = tensor.model_copy(update={"jet": _both(tensor.jet, jets[tensor.name])})
        if tensor.name not in extremes:
            return tensor
        (low, high), (least, most) = (tensor.low, tensor.high), extremes[tensor.name]
        wide_low, wide_high = widened(np.asarray(least), np.asarray(most))
        if tensor.unbounded:
            return tensor.model_copy(update={"low": wide_low, "high": wide_high})
        if low is None or high is None:
            return tensor
        lowest = np.where(least < np.asarray(low, tensor.floats), wide_low, low)
        highest = np.where(most > np.asarray(high, tensor.floats), wide_high, high)
        return tensor.model_copy(update={"low": lowest.tolist(), "high": highest.tolist()})

    return {
        name: endpoint.model_copy(update={"inputs": [extended(tensor) for tensor in endpoint.inputs]})
        for name, endpoint in endpoints.items()
    }


def _both(parent: Jet, new: Jet) -> Jet:
    """The new radius, and transverse momenta that take in the new ones, wherever these leave the parent's."""
    from zoo.workflows.trained_ranges import widened

    (low, high), (least, most) = parent.pt, new.pt
    (wide_low,), (wide_high,) = widened(np.array([least]), np.array([most]))
    pt = (max(0.0, wide_low) if least < low else low, wide_high if most > high else high)
    return Jet(radius=new.radius, pt=pt)


def with_inputs(spec: ModelSpec, model: ZooModel, inputs: int) -> ModelSpec:
    """The spec with a first input of another length, of whose range nothing is known yet."""
    first = spec.endpoint(model.data_endpoint).inputs[0]
    said = f"{inputs} numbers of the user's, in place of: {first.description}"
    other = first.model_copy(update={"axes": fixed_axes(first.name, [inputs]), "description": said, "low": None, "high": None})
    endpoints = {
        name: endpoint.model_copy(
            update={"inputs": [other if tensor.name == first.name else tensor for tensor in endpoint.inputs]}
        )
        for name, endpoint in spec.endpoints.items()
    }
    return spec.model_copy(update={"endpoints": endpoints})


def with_head(spec: ModelSpec, model: ZooModel, dataset: Dataset) -> ModelSpec:
    """The spec with outputs as the new head gives them: other names, shapes, units and labels, and the task they are for."""
    rows = dataset.rows("test")
    examples = model.example({name: array[:2] for name, array in rows.inputs.items()}, np.random.default_rng(0))
    first = spec.endpoint(model.data_endpoint).outputs[0]
    taken = {tensor.name for endpoint in spec.endpoints.values() for tensor in endpoint.inputs}
    endpoints = {}
    for name, endpoint in spec.endpoints.items():
        found = getattr(model, model.endpoints[name])(*examples[name])
        shapes = [list(value.shape[1:]) for value in (found if isinstance(found, tuple) else (found,))]
        outputs = [
            _answer(tensor, shape, model, dataset, taken)
            if tensor.name == first.name
            else tensor.model_copy(
                update={} if _has(tensor, shape) else {"axes": fixed_axes(tensor.name, shape), "low": None, "high": None}
            )
            for tensor, shape in zip(endpoint.outputs, shapes, strict=True)
        ]
        endpoints[name] = endpoint.model_copy(update={"outputs": outputs})
    scale = float(np.abs(np.asarray(rows.target[:])).max())
    return spec.model_copy(
        update={
            "task": "classification" if model.classes else "regression",
            "endpoints": endpoints,
            "tolerance": spec.tolerance.model_copy(update={"absolute": max(spec.tolerance.absolute, 1e-5 * scale)}),
        }
    )


def _has(tensor: Tensor, shape: list[int]) -> bool:
    """Whether the axes of a tensor, of which some may be free, can have these sizes."""
    return len(shape) == len(tensor.axes) and all(axis.admits(size) for axis, size in zip(tensor.axes, shape, strict=True))


def _answer(old: Tensor, shape: list[int], model: ZooModel, dataset: Dataset, taken: set[str]) -> Tensor:
    """The output that a new head gives, named after the user's column where that can be a tensor's name."""
    names, labels = (dataset.target_names, dataset.labels) if isinstance(dataset, FromUser) else ([], None)
    if model.classes:
        labels = labels or [str(number) for number in range(model.classes)]
        labels = labels if shape[-1] == len(labels) else labels[1:]
        said = f"probability of {labels[0]}" if len(labels) == 1 else "probability of each class"
        axes = fixed_axes("probability", shape, labels)
        return Tensor(name="probability", axes=axes, unit="1", description=said, low=0.0, high=1.0)
    name = names[0] if len(names) == 1 and names[0] not in taken else "answer"
    try:
        TypeAdapter(TensorName).validate_python(name)
    except ValidationError:
        name = "answer"
    unit = (dataset.target_unit if isinstance(dataset, FromUser) else None) or "1"
    return Tensor(name=name, axes=fixed_axes(name, shape), unit=unit, description=", ".join(names) or old.description)
