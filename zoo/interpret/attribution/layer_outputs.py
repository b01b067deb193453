"""What the layers of a Keras model return on the way to an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from zoo.errors import ExplanationError, UnknownNameError


def layers_of(model: Any) -> dict[str, Any]:
    """Layers by name, input to output, as the family's ``blocks`` order them.

    Raises
    ------
    ExplanationError
        If the model has no layers.
    """
    try:
        return {layer.name: layer for block in model.blocks.values() for layer in block}
    except (AttributeError, TypeError) as error:
        raise ExplanationError(f"{type(model).__name__} has no layers to look into: it declares no blocks") from error


def layer_named(model: Any, name: str) -> Any:
    """A layer by its name or, the last one in it, by that of its block; UnknownNameError with suggestions otherwise."""
    layers = layers_of(model)
    named = {block: within[-1] for block, within in model.blocks.items() if within} | layers
    if name not in named:
        raise UnknownNameError(f"layer of {type(model).__name__}", name, named)
    return named[name]


@contextmanager
def outputs_of(layer: Any, change: Callable[[Any], Any] | None = None) -> Iterator[list[Any]]:
    """Collect what a layer returns while the context lasts; with ``change``, what that makes of it goes on."""
    seen: list[Any] = []
    original = layer.call

    def call(*args: Any, **kwargs: Any) -> Any:
        value = original(*args, **kwargs)
        seen.append(value if change is None else change(value))
        return seen[-1]

    layer.call = call
    try:
        yield seen
    finally:
        del layer.call


def last_output(seen: list[Any], layer: Any, endpoint: str) -> Any:
    """What the layer returned last; ExplanationError if the endpoint never called it."""
    if not seen:
        raise ExplanationError(f"layer {layer.name!r} takes no part in the endpoint {endpoint!r}: choose another of the two")
    return seen[-1]
