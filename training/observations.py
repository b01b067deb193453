"""What a recipe says of the observations of a posterior: their tensors, and the network that they pass first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.data.sbi.x_scales import described
from zoo.errors import InputError, UnknownNameError
from zoo.families.flows.context_shape import ContextShape
from zoo.families.flows.embeddings import KINDS, default_embedding, embedding_settings, suited
from zoo.training.recipe import RecipeError

MOST = 2**20
"""Elements that scales are chosen from."""


@dataclass(frozen=True, eq=False)
class Observations:
    """The shape of observations, and what their last axis is.

    Attributes
    ----------
    shape : tuple of int or None
        Sizes of the axes; None for the first where its length is free.
    least, most : int
        The fewest and the most elements along a free axis.
    labels : list of str, optional
        Names of the elements of the last axis.
    units : list of str, optional
        Their units.
    element : str
        What an element along a free axis is called.
    """

    shape: tuple[int | None, ...]
    least: int = 1
    most: int = 0
    labels: list[str] | None = None
    units: list[str] | None = None
    element: str = "element"

    @classmethod
    def of(cls, x: np.ndarray, mask: np.ndarray | None = None, trials: tuple[int, int] | None = None) -> Observations:
        """What simulations are.

        Parameters
        ----------
        x : ndarray of shape (n, ...)
            Simulated data.
        mask : ndarray of shape (n, length), optional
            Which of their elements are real, where their length is free.
        trials : tuple of int, optional
            The fewest and the most elements, where they are trials of one experiment; by default those that there are.

        Returns
        -------
        Observations
            The observations.
        """
        if mask is None:
            return cls(x.shape[1:])
        counts = mask.sum(axis=1)
        least, most = (max(1, int(counts.min())), int(counts.max())) if trials is None else trials
        return cls((None, *x.shape[2:]), least, most, element="element" if trials is None else "trial")

    def features(
        self, x: np.ndarray, mask: np.ndarray | None = None, embedding: str | dict[str, Any] | Sequence[int] | None = None
    ) -> np.ndarray:
        """The numbers (N, F) that each scale of x is chosen from: of all rows, or of all their real elements; a million at most.

        Parameters
        ----------
        x : ndarray of shape (n, ...)
            Simulated data.
        mask : ndarray of shape (n, length), optional
            Which of their elements are real.
        embedding : str, dict or list of int, optional
            As :meth:`config` takes it.

        Returns
        -------
        ndarray of shape (N, F)
            The numbers.
        """
        shape = ContextShape.of(**self.config(embedding))
        assert shape is not None
        found = shape.elements(x, mask)
        return found if len(found) <= MOST else np.random.default_rng(0).choice(found, MOST, replace=False, shuffle=False)

    def config(self, embedding: str | dict[str, Any] | Sequence[int] | None = None) -> dict[str, Any]:
        """``context`` and ``embedding`` of a flow.

        Parameters
        ----------
        embedding : str, dict or list of int, optional
            The kind of the embedding, its settings, or units of dense layers; by default what suits the shape.

        Returns
        -------
        dict of str to object
            The part of the config.

        Raises
        ------
        UnknownNameError, RecipeError
            There is no such embedding, or no such setting of it.
        """
        context: int | list[int | None] = list(self.shape)
        if len(self.shape) == 1 and self.shape[0] is not None:
            context = self.shape[0]
        chosen: Any = embedding
        if embedding is None:
            chosen = default_embedding(self.shape) or []
        elif isinstance(embedding, str):
            if embedding not in KINDS:
                raise UnknownNameError("embedding", embedding, KINDS)
            chosen = suited(KINDS[embedding], self.shape).model_dump()
        if isinstance(chosen, dict):
            try:
                chosen = embedding_settings(chosen).model_dump()
            except ValueError as error:
                raise RecipeError(str(error)) from error
        return {"context": context, "embedding": chosen if isinstance(chosen, dict) else list(chosen)}

    def tensors(self, context_scales: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
        """The observation x and, of free length, its mask, as a recipe describes inputs.

        Parameters
        ----------
        context_scales : list of dict, optional
            The scales of x, which is in double precision then.

        Returns
        -------
        list of dict
            The tensors.

        Raises
        ------
        InputError
            No most is known of a free length.
        """
        free = self.shape[0] is None
        if free and self.most < 1:
            raise InputError(f"observations of free length: expected the most elements of one, given {self.most}")
        names = ["datum"] if len(self.shape) == 1 else [f"datum_{place}" for place in range(len(self.shape))]
        if free:
            names[-1] = "datum"
        axes: list[dict[str, Any]] = [{"name": name, "size": size} for name, size in zip(names, self.shape, strict=True)]
        if free:
            axes[0] = {"name": self.element, "least": self.least, "most": self.most}
        differ = self.units is not None and len(set(self.units)) > 1
        if (self.labels is not None or differ) and not (free and len(axes) == 1):
            axes[-1] |= {"labels": self.labels, "units": self.units if differ else None}
        unit = "1" if self.units is None else ", ".join(self.units) if differ else self.units[0]
        x = {"name": "x", "axes": axes, "unit": unit, "description": "an observation, as the simulator gives it"}
        if context_scales is not None:
            x |= {"dtype": "float64", "description": f"{x['description']}; {described(context_scales)}"}
        if not free:
            return [x]
        real = f"which of its {self.element}s are real, and not padding"
        return [{**x, "mask": "mask"}, {"name": "mask", "axes": axes[:1], "dtype": "bool", "unit": "1", "description": real}]
