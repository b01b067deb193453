"""One endpoint in ONNX Runtime: its graph, and the check of its inputs prepared once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from zoo.errors import IntegrityError
from zoo.model.inputs import InputCheck
from zoo.model.spec import Endpoint
from zoo.serving.providers import open_graph


class Graph:
    """An endpoint ready to run, from one thread or from many.

    Parameters
    ----------
    file : the ONNX graph
    endpoint : what the card says of it
    providers, threads : as ``zoo.serving.Session`` takes them

    Raises
    ------
    IntegrityError
        ONNX Runtime cannot load the graph, or its tensors are not those of the card.
    ProviderError
        The provider asked for is not there.
    """

    def __init__(self, file: Path, endpoint: Endpoint, *, providers: Sequence[str] | None = None, threads: int = 1) -> None:
        self.session = open_graph(file, providers=providers, threads=threads)
        self.check = InputCheck(endpoint)
        self._outputs = {tensor.name: tuple(tensor.shape) for tensor in endpoint.outputs}
        self._names = list(self._outputs)
        for kind, given, expected in (
            ("inputs", self.session.get_inputs(), endpoint.inputs),
            ("outputs", self.session.get_outputs(), endpoint.outputs),
        ):
            found, wanted = sorted(node.name for node in given), sorted(tensor.name for tensor in expected)
            if found != wanted:
                raise IntegrityError(f"{file}: expected the {kind} {wanted} of its card, found {found}")

    def __call__(self, inputs: Mapping[str, object], allow_nonfinite: bool, allow_out_of_range: bool) -> dict[str, np.ndarray]:
        """Check and run a batch; InputError names the tensor, what was expected and what was given."""
        return self.run(self.check(inputs, allow_nonfinite, allow_out_of_range))

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run a batch that was checked: name -> array of shape (batch, *shape), in and out."""
        if not len(next(iter(arrays.values()))):  # some operators refuse an empty batch
            return {name: np.empty((0, *shape), np.float32) for name, shape in self._outputs.items()}
        return dict(zip(self._names, self.session.run(self._names, arrays), strict=True))
