"""What every model gives, Keras or not: endpoints, a spec; and what a Keras family adds."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from zoo.atomic import write_whole
from zoo.errors import InputError, UnknownNameError
from zoo.families.batches import answer
from zoo.families.processes import expect_own_process
from zoo.families.state import own_randomness, released_settings
from zoo.model.fit import Emulator
from zoo.model.inputs import InputCheck
from zoo.model.integrity import InMemory
from zoo.model.misspecification import Reference
from zoo.model.outputs import OutputCheck
from zoo.model.spec import Endpoint, Library, ModelSpec
from zoo.model.store import ModelFolder

Answer = Literal["number", "probability", "gaussian", "log density", "distribution"]
"""Numbers; probabilities of classes; location and scale of a Gaussian, or of another distribution; a log density."""


class EndpointModel:
    """A model with named endpoints, whatever library it is made with.

    A family is a subclass whose constructor takes plain data, so that loading is ``Family(**config)`` followed by numbers.
    """

    endpoints: ClassVar[dict[str, str]]
    """Method of each endpoint by name, which takes the endpoint's inputs and returns its outputs, in the spec's order."""

    config: dict[str, Any]
    """Keyword arguments that build the same model again, plain data."""

    library: ClassVar[Library]
    """What it is made with."""

    opset_reason: ClassVar[Mapping[int, str]] = {}
    """Why there is no graph of this family at an opset of ONNX; empty where there is one at 11, 13 and 18."""
    repeats_operations: ClassVar[bool] = False
    """Whether a graph computes the same again and again, of which an export keeps any one: its nodes are then called by what
    they compute, and not by the layers that they come from, so that the same model gives the same bytes."""

    no_gradient: ClassVar[str | None] = None
    """Why an answer has no derivative with respect to an input, and what explains the model instead; None where it has one."""

    no_baseline: ClassVar[str | None] = None
    """Why no values of its inputs stand for nothing, so that there is no path from such; None where the mean or zero does."""

    no_fine_tuning: ClassVar[str | None] = None
    """Why training does not go on from its weights, and what to do instead; None where it does."""

    distances: ClassVar[frozenset[str]] = frozenset()
    """Answers that guard and are distances from what was trained: none is too near, so that their range begins at zero."""

    data_endpoint: ClassVar[str] = "predict"
    """Endpoint whose inputs are what a row of data holds, in the order of ``__call__``; its first output is the target."""
    answers_with: Answer = "number"
    """What ``predict``, or the first endpoint, gives; a probability is made of what ``logits`` gives for the same inputs."""
    linear_output: ClassVar[str | None] = None
    """Name of an answer that is exactly linear in the inputs, whose Shapley values have a closed form; None where none is."""

    spec: ModelSpec
    """The spec, which ``zoo.load`` sets; a freshly built model has none."""

    folder: ModelFolder | None = None
    """The folder that the model was loaded from."""

    reference: Reference | None = None
    """What simulated observations are like, read as the model is loaded; None where its folder does not say it."""

    emulate: Emulator | None = None
    """Asks another model by its name, which ``zoo.load`` sets; a freshly built model knows no others."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What is trained and judged: answers (batch, outputs) to inputs in the data set's order."""
        raise NotImplementedError

    def save_weights(self, path: str | Path) -> None:
        """Write all numbers as plain arrays, to a ``.weights.h5`` file that ``load_weights`` takes, whole or not at all."""
        raise NotImplementedError

    def load_weights(self, path: str | Path | InMemory) -> None:
        """Take the numbers of a file that ``save_weights`` wrote; ValueError, OSError or KeyError where it does not fit.

        What ``zoo.load`` gives is a file in memory, whose bytes are those that were hashed; ``h5py.File`` opens it.
        """
        raise NotImplementedError

    def _repr_markdown_(self) -> str | None:
        """What a notebook shows of a released model: that of its spec."""
        spec = getattr(self, "spec", None)
        return None if spec is None else spec._repr_markdown_()

    def bare(self) -> EndpointModel:
        """A model of the same weights without what only training needs; itself where there is nothing of the kind."""
        return self

    def baseline(self, tensor: str) -> np.ndarray | None:
        """The uninformative value of an input tensor (its training mean), None where the model holds none."""
        return None

    def endpoint(self, name: str) -> Callable[..., dict[str, object]]:
        """An endpoint as a function of named tensors that returns named tensors.

        It checks what it is given as `zoo.serving.Session.run` does and with the same flags. Calling the model itself, or the
        method that is the endpoint, is the bare function.

        Parameters
        ----------
        name : str
            Name of the endpoint.

        Returns
        -------
        callable
            Takes each input tensor as a keyword, or a mapping or one table of all of them, and ``allow_nonfinite`` and
            ``allow_out_of_range``; gives the outputs by name, as tensors of the backend. A tensor of the backend in the
            spec's dtype reaches the model as it is, so that gradients pass.

        Raises
        ------
        TypeError
            The model has no spec.
        UnknownNameError
            There is no such endpoint.

        Examples
        --------
        >>> model = zoo.load("ive-pendulum")  # doctest: +SKIP
        >>> model.endpoint("encode")(trajectory=x)["mean"]  # doctest: +SKIP
        """
        if not hasattr(self, "spec"):
            raise TypeError("this model has no spec: load it with zoo.load, or assign model.spec")
        described = self.spec.endpoint(name)
        if name not in self.endpoints:
            raise UnknownNameError(f"endpoint of family {self.spec.family}", name, self.endpoints)
        function, check = getattr(self, self.endpoints[name]), InputCheck(described, self.reference)
        guard = OutputCheck(described)

        def call(inputs=None, /, *, allow_nonfinite: bool = False, allow_out_of_range: bool = False, **tensors):
            if inputs is not None and tensors:
                raise InputError(f"{name}: expected one table or mapping, or each input by name, given both")
            given = tensors if inputs is None else inputs
            arrays = check(given, allow_nonfinite, allow_out_of_range)
            expect_own_process()
            nothing = not len(next(iter(arrays.values())))
            if nothing:  # no layer has to know what an empty batch is
                given, arrays = {}, {key: np.zeros((1, *array.shape[1:]), array.dtype) for key, array in arrays.items()}
            outputs = answer(function, *(_differentiable(given, key, array) for key, array in arrays.items()))
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            outputs = tuple(value[:0] for value in outputs) if nothing else outputs
            answers = {tensor.name: value for tensor, value in zip(described.outputs, outputs, strict=True)}
            guard(answers, allow_nonfinite, allow_out_of_range)
            return answers

        return call

    def as_onnx(self, endpoint: str, described: Endpoint, opset: int) -> Any:
        """The graph of an endpoint, of a model that ONNX cannot be traced from Keras' operations.

        Parameters
        ----------
        endpoint : str
            The name of the endpoint.
        described : Endpoint
            The endpoint in the spec, whose names and order the graph's inputs and outputs have.
        opset : int
            The version of ONNX's operators.

        Returns
        -------
        onnx.ModelProto or None
            The graph, to which an export adds what the spec says and which it compares with the model; None for a Keras model,
            whose methods are traced.

        Raises
        ------
        ExportError
            Saying why there is no such graph.
        """
        return None

    def example(self, inputs: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, tuple[np.ndarray, ...]]:
        """Inputs of every endpoint that its graph can be tried on, for rows of a data set.

        Families with endpoints that take more than the data, or other tensors (latents, noise, a mask alone), extend it. The
        tensors have the dtypes of the spec, and free axes the sizes that the rows have: positions lie within their axis, a mask
        is a truth value, and padding holds finite numbers. An export mixes what is floating-point between rows that agree in
        all else, and makes rows of other sizes by repeating elements and leaving some out.

        Parameters
        ----------
        inputs : mapping of str to ndarray
            Rows of the data set by tensor name, arrays (rows, ...), in its order.
        rng : Generator
            The source of what is random, such as noise.

        Returns
        -------
        dict of str to tuple of ndarray
            Inputs of each endpoint in the spec's order, each (rows, ...).
        """
        return dict.fromkeys(self.endpoints, tuple(inputs.values()))


def _differentiable(given: Any, name: str, checked: np.ndarray) -> Any:
    """What was given, where it is a tensor of the backend with the numbers that were checked; else those."""
    tensor = given.get(name) if isinstance(given, dict) else None
    if tensor is None or not keras.ops.is_tensor(tensor):
        return checked
    return tensor if keras.backend.standardize_dtype(tensor.dtype) == checked.dtype.name else checked


def _built_as_released(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        with released_settings():
            init(self, *args, **kwargs)

    __init__.__signature__ = inspect.signature(init)  # type: ignore[attr-defined]  # Keras does not look behind a wrapper
    return __init__


class ZooModel(keras.Model, EndpointModel):
    """A Keras model with named endpoints; its constructor builds every weight."""

    library: ClassVar[Library] = "keras"

    squash: Literal["sigmoid", "softmax"] | None = None
    """What makes probabilities of ``logits``, None where answers are no probabilities."""

    ensemble_family: ClassVar[str] = "ensemble"
    """Family of an ensemble of models of this one."""

    asks_many: ClassVar[bool] = False
    """Whether a row of training may hold several queries: its last input and its target are then as many times as wide."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):  # whoever builds a model, and whatever Keras is set to, its layers are as released
            cls.__init__ = _built_as_released(cls.__init__)  # type: ignore[method-assign]

    def __new__(cls, *args: Any, **kwargs: Any) -> ZooModel:
        expect_own_process()
        return super().__new__(cls, *args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Answer as ``call`` does, whose inputs are cast to float32."""
        expect_own_process()
        return super().__call__(*args, **kwargs)

    def exact(self) -> AbstractContextManager:
        """Where double precision is held if the model needs it, on JAX too."""
        return nullcontext()

    def get_config(self) -> dict[str, Any]:
        """What builds the model again: its name, and ``config``, which the constructor of every family sets."""
        return {"name": self.name, **self.config}

    def __reduce__(self) -> tuple:
        """Config, weights and spec, for ``pickle``, ``copy.deepcopy`` and what hands models to processes; none is compiled."""
        known = {name: vars(self)[name] for name in ("spec", "folder", "reference", "emulate") if name in vars(self)}
        if "spec" in known:
            known["spec"] = known["spec"].model_copy(update={"config": _plain(known["spec"].config)})
        return _rebuilt, (type(self), _plain(self.get_config()), self.get_weights(), known)

    def save_weights(
        self, filepath: str | Path | InMemory, overwrite: bool = True, max_shard_size: float | None = None
    ) -> None:
        """Write all numbers as Keras does, to a file that appears whole or not at all.

        HDF5 ends the process where the disk is full, so that the file is made in memory.

        Parameters
        ----------
        filepath : str, Path or InMemory
            The file, whose name ends in ``.weights.h5``.
        overwrite : bool
            Whether to replace a file that is there without asking, as in Keras.
        max_shard_size : float, optional
            As in Keras, which then writes several files itself.

        Raises
        ------
        FullDiskError
            The disk is full; what was there before is as it was.
        """
        if isinstance(filepath, InMemory) or max_shard_size is not None or (Path(filepath).exists() and not overwrite):
            keras.Model.save_weights(self, filepath, overwrite, max_shard_size)
            return
        path = Path(filepath)
        content = InMemory(path.name)
        keras.Model.save_weights(self, content)
        write_whole(path, content.getvalue())

    @property
    def objective_name(self) -> str:
        """What ``objective`` is, with its unit."""
        return "loss"

    def objective(self, target, answer):
        """The loss of each row, (batch,), that this family is trained on, given what ``call`` answered."""
        raise TypeError(f"{type(self).__name__} declares no objective: say in its class what each row costs")

    @property
    def classes(self) -> int | None:
        """How many classes ``call`` gives probabilities of, targets (batch, 1) counting them from 0; None for other answers."""
        return None

    def point(self, answer):
        """The answer in the target's shape and unit, None where an answer is not of that kind."""
        return

    def own_target(self, inputs: Mapping[str, Any]) -> Any:
        """What of the inputs is itself the target, None where a row of data has a target beside them."""
        return None

    def standardized(self, *inputs) -> tuple:
        """Inputs as the network sees them: where nothing drifted from the training data, of mean 0 and deviation 1."""
        return ()

    def with_head(self, outputs: int, task: Literal["classification", "regression"]) -> tuple[str, dict[str, Any]]:
        """Family and config of this network with another last block.

        Raises
        ------
        InputError
            If the family has no such head.
        """
        raise InputError(
            f"{type(self).__name__} has no head for {task} with {outputs} outputs: leave out outputs and task, or choose a"
            " model of another family"
        )

    def with_inputs(self, inputs: int) -> tuple[dict[str, Any], list[str]]:
        """Config of this network for a first input of another length, and names of the layers that are new in it.

        Raises
        ------
        InputError
            If nothing could be kept.
        """
        raise InputError(
            f"{type(self).__name__} takes no other input length: leave out inputs and give rows like those of its training, or"
            " choose a model whose first layer is dense and not its last"
        )

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        """Ordered stages, input to output, that fine-tuning freezes and unfreezes."""
        raise TypeError(f"{type(self).__name__} declares no blocks")

    def adapt(self, inputs: Mapping[str, np.ndarray], target: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Measure the standardization on training rows, before the first step; a family may leave out event ``weight`` (n,)."""

    @own_randomness()
    def bare(self) -> ZooModel:
        """A copy that was never compiled: a compiled model's file holds the optimizer's moments too, three times as much."""
        copy = type(self).from_config(self.get_config())
        copy.set_weights(self.get_weights())
        return copy


def _plain(config: Any) -> Any:
    """A config without the lists and dicts that Keras makes of those that a layer holds, which cannot be pickled."""
    return json.loads(json.dumps(config))


@own_randomness()
def _rebuilt(cls: type[ZooModel], config: dict[str, Any], weights: list[np.ndarray], known: dict[str, Any]) -> ZooModel:
    """A model of what :meth:`ZooModel.__reduce__` gives."""
    model: ZooModel = cls.from_config(config)
    model.set_weights(weights)
    for name, value in known.items():
        setattr(model, name, value)
    return model
