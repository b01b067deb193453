"""What one observation is: its shape, and what is known of its numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.data.sbi.simulating.read_answer import Labels


@dataclass(frozen=True, eq=False)
class Datum:
    """One observation.

    Attributes
    ----------
    shape : tuple of int or None
        Sizes of its axes; None for the first where its length is free.
    names : list of str, optional
        Names of the numbers along the last axis, where they came as a table.
    units : list of str, optional
        Their units, where they have such.
    least, most : int
        The fewest and the most elements along a free axis.
    element : str
        What an element along a free axis is called.
    """

    shape: tuple[int | None, ...]
    names: list[str] | None = None
    units: list[str] | None = None
    least: int = 1
    most: int = 0
    element: str = "element"

    @classmethod
    def of(
        cls,
        x: np.ndarray,
        mask: np.ndarray | None = None,
        trials: tuple[int, int] | None = None,
        labels: Labels | None = None,
    ) -> Datum:
        """What simulated observations are.

        Parameters
        ----------
        x : ndarray of shape (n, ...)
            The observations.
        mask : ndarray of shape (n, length), optional
            Which of their elements are real, where their length is free.
        trials : tuple of int, optional
            The fewest and the most elements, where they are trials of one experiment; by default those that there are.
        labels : Labels, optional
            Names and units of their numbers.

        Returns
        -------
        Datum
            What one of them is.
        """
        told = {} if labels is None else labels.along(x.shape[-1])
        if mask is None:
            return cls(x.shape[1:], **told)
        counts = mask.sum(axis=1)
        least, most = (max(1, int(counts.min())), max(1, int(counts.max()))) if trials is None else trials
        element = "element" if trials is None else "trial"
        return cls((None, *x.shape[2:]), least=least, most=most, element=element, **told)
