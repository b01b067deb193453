"""A released model in ONNX Runtime, without TensorFlow: names, dtypes, shapes and ranges checked, arrays in and out."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import numpy as np

from zoo.errors import InputError, IntegrityError
from zoo.model.onnx_bytes import OnnxBytes
from zoo.model.reference_file import read_reference
from zoo.model.spec import TEST_TENSORS, ModelSpec, onnx_file
from zoo.model.store import ModelFolder, locate
from zoo.model.test_tensors import read_test_tensors
from zoo.serving.devices import devices
from zoo.serving.graph import Graph
from zoo.serving.placement import Fastest, place

_MOST = 1024
"""Rows of the largest batch for which a session on CUDA is prepared; larger ones run in pieces of as many."""


class Session:
    """A model ready to run, from one thread or from many.

    All endpoints are loaded at once, so that what is broken shows here and not at the first event.

    Parameters
    ----------
    model : str or Path
        Whatever ``zoo.model.store.locate`` finds: a released name, a folder, ``hf://owner/name@revision``.
    device : str
        ``auto`` takes CUDA where it works, and for each size of batch whichever of the two was measured to be faster; ``cpu``,
        ``cuda`` and ``cuda:1`` take just that, and fail where it is not really in use. Of several GPUs one is used.
    threads : int
        Threads within one operator on the CPU; small models run fastest on one.

    Raises
    ------
    UnknownNameError
        There is no such model.
    InputError
        The device is none.
    IntegrityError
        A file is missing, is not the one that the spec describes, or does not fit the spec's endpoint.
    ProviderError
        The device that was asked for is not in use.

    Examples
    --------
    >>> session = Session("mlp-cmb-feature")
    >>> session.run({"spectrum": spectra})["probability"]  # doctest: +SKIP
    """

    def __init__(self, model: str | Path, *, device: str = "auto", threads: int = 1) -> None:
        self._open(locate(model), device, threads)

    def _open(self, folder: ModelFolder, device: str, threads: int) -> None:
        self.folder = folder
        self._settings = device, threads
        self.reference = read_reference(folder)
        self._graphs: dict[str, Graph | Fastest] = {}
        self._devices: dict[str, list[str]] = {}
        first, *others = devices(device)
        wanted = [first, *(one for one in others if one.kind != first.kind)]
        rows = cache(partial(_first_rows, folder))  # read once, and only where a device other than the CPU is prepared

        def row(endpoint: str) -> dict[str, np.ndarray]:
            return rows()[endpoint]

        for name, endpoint in folder.spec.endpoints.items():
            graphs = place(
                graph_of(folder, name),
                endpoint,
                wanted,
                row=partial(row, name),
                most=_MOST,
                threads=threads,
                reference=self.reference,
            )
            self._devices[name] = [str(graph.device) for graph in graphs]
            self._graphs[name] = graphs[0] if len(graphs) == 1 else Fastest(graphs, row(name), _MOST)

    def __repr__(self) -> str:
        runs = ", ".join(self.devices)
        return f"Session({self.spec.name!r}, revision {self.spec.revision}, {', '.join(self.endpoints)}, on {runs})"

    def _repr_markdown_(self) -> str:
        """What a notebook shows: what the spec says, and where it runs."""
        return f"{self.spec._repr_markdown_()}\nOn {', '.join(self.devices)}.\n"

    def __getstate__(self) -> tuple[ModelFolder, str, int]:
        """The folder and the settings: what ONNX Runtime holds belongs to a process, and is opened anew in another."""
        return self.folder, *self._settings

    def __setstate__(self, state: tuple[ModelFolder, str, int]) -> None:
        self._open(*state)

    @property
    def spec(self) -> ModelSpec:
        """What the model is: endpoints with units and ranges, metrics, files."""
        return self.folder.spec

    @property
    def endpoints(self) -> list[str]:
        """Names of the functions that this model offers."""
        return list(self._graphs)

    @property
    def devices(self) -> list[str]:
        """The devices that are really in use, such as ``cuda:0`` and ``cpu``."""
        return list(dict.fromkeys(device for devices in self._devices.values() for device in devices))

    @classmethod
    def of(cls, folder: ModelFolder, *, device: str = "auto", threads: int = 1) -> Session:
        """A session over a folder that was found; it raises as ``Session`` does."""
        session = cls.__new__(cls)
        session._open(folder, device, threads)
        return session

    def on(self, device: str) -> Session:
        """The same model on one of its devices, whatever the size of batch."""
        return self.of(self.folder, device=device, threads=self._settings[1])

    def run(
        self,
        inputs: object,
        endpoint: str | None = None,
        *,
        allow_nonfinite: bool = False,
        allow_out_of_range: bool = False,
    ) -> dict[str, np.ndarray]:
        """Run one endpoint on a batch.

        Parameters
        ----------
        inputs : mapping or object
            One array for each input tensor by its name, of shape (batch, ...), in the spec's unit. What has a unit of its own
            is converted, and a table is read by the names of its columns, for one tensor or for all. A free axis may have any
            length between its limits; all tensors of the call that have the axis agree in it.
        endpoint : str, optional
            Name of the endpoint; None for ``predict``, or for the only one.
        allow_nonfinite : bool
            Let NaN and infinity through, and missing values as NaN.
        allow_out_of_range : bool
            Let values outside the trained range through, and observations that no simulation of a posterior resembles.

        Returns
        -------
        dict of str to ndarray
            One array for each output tensor, of shape (batch, ...) and the spec's dtype. An empty batch gives empty arrays,
            whose free axes are as long as those of the inputs.

        Raises
        ------
        InputError
            Naming the tensor, what was expected and what was given.
        UnknownNameError
            No such endpoint.

        Warns
        -----
        MisspecificationWarning
            An observation is unlike the simulations that a posterior was learned from.
        """
        graph = self._graphs.get("predict" if endpoint is None else endpoint) or self._find(endpoint)
        return graph(inputs, allow_nonfinite, allow_out_of_range)

    def _find(self, endpoint: str | None) -> Graph | Fastest:
        if endpoint is not None:
            self.spec.endpoint(endpoint)  # raises
        if len(self._graphs) > 1:
            raise InputError(f"{self.spec.name} has several endpoints: name one of {', '.join(self.endpoints)}")
        return next(iter(self._graphs.values()))


def _first_rows(folder: ModelFolder) -> dict[str, dict[str, np.ndarray]]:
    """The first row of each endpoint's test inputs."""
    tensors = read_test_tensors(folder.read(TEST_TENSORS), folder.spec)
    return {endpoint: {name: array[:1] for name, array in inputs.items()} for endpoint, (inputs, _) in tensors.items()}


def graph_of(folder: ModelFolder, endpoint: str) -> OnnxBytes:
    """The ONNX graph of one endpoint, of the sha256 that the spec gives.

    Parameters
    ----------
    folder : ModelFolder
        The model's folder.
    endpoint : str
        Name of the endpoint.

    Returns
    -------
    OnnxBytes
        The graph.

    Raises
    ------
    IntegrityError
        The endpoint was never exported, its file is not the one described, or it names other files.
    """
    name = onnx_file(endpoint)
    if folder.spec.file(name) is None:
        raise IntegrityError(f"{folder.folder} lists no {name}: make it with zoo export")
    return OnnxBytes(folder.folder / name, folder.read(name).getvalue())
