"""Skeletons that a network writes for points, by a search along several beams."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.families.expression import ARGUMENTS, CONSTANT, TOKENS, Skeleton
from zoo.model.spec import Endpoint

NEVER = -1e30
"""Logarithm of the probability of what cannot follow."""


class Writer:
    """A network that writes formulae, loaded or in a serving session.

    Parameters
    ----------
    model : ZooModel or Session
        The network, with the endpoints ``encode`` and ``next_token``.
    endpoints : mapping of str to Endpoint, optional
        What its tensors are; by default by its spec.

    Raises
    ------
    InputError
        It has no such endpoints, or other tokens.
    """

    def __init__(self, model: Any, endpoints: Mapping[str, Endpoint] | None = None) -> None:
        described = getattr(model, "spec", None)
        found: Mapping[str, Endpoint] = endpoints or ({} if described is None else described.endpoints)
        if not {"encode", "next_token"} <= found.keys():
            raise InputError(
                "expected a model that writes formulae, with the endpoints encode and next_token, such as transformer-formulae,"
                f" given one with {', '.join(found) or 'none'}"
            )
        points, real = found["encode"].inputs
        memory, tokens, known = found["next_token"].inputs
        (logits,) = found["next_token"].outputs
        if logits.shape != [len(TOKENS)]:
            raise InputError(f"expected logits of {len(TOKENS)} tokens, given {logits.shape}: {', '.join(TOKENS)}")
        self.most_points = points.axes[0].most or points.axes[0].size or 1
        self.longest = tokens.axes[0].most or tokens.axes[0].size or 1
        self._encode: Callable[..., np.ndarray]
        self._next: Callable[..., np.ndarray]
        if hasattr(model, "run"):  # a session, which this package does not know
            self._encode = _by_session(model, "encode", [points.name, real.name])
            self._next = _by_session(model, "next_token", [memory.name, tokens.name, known.name])
        else:
            self._encode = _by_model(model, model.encode, [points, real])
            self._next = _by_model(model, model.next_token, [memory, tokens, known])

    def written(self, points: np.ndarray, variables: int, beams: int) -> list[Skeleton]:
        """Skeletons for points, the most probable first.

        Parameters
        ----------
        points : ndarray of shape (n, 5)
            Variables, zero where there are fewer than four, and the value.
        variables : int
            How many variables there are.
        beams : int
            How many skeletons are followed at a time, and given at most.

        Returns
        -------
        list of tuple of int
            The skeletons.
        """
        real = np.ones((1, len(points)), bool)
        memory = np.repeat(self._encode(points[None].astype(np.float32), real), beams, axis=0)
        tokens = np.zeros((beams, self.longest), np.int32)
        score = np.full(beams, NEVER)
        score[0] = 0.0
        missing = np.ones(beams, int)
        allowed = np.arange(len(TOKENS)) != 0
        allowed[1 + variables : CONSTANT] = False
        finished: list[tuple[float, Skeleton]] = []
        for length in range(self.longest):
            known = np.broadcast_to(np.arange(self.longest) <= length, tokens.shape)
            logits = self._next(memory, tokens, np.ascontiguousarray(known)).astype(float)
            logits -= logits.max(axis=1, keepdims=True)
            total = score[:, None] + logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            after = missing[:, None] - 1 + ARGUMENTS
            total = np.where(allowed & (length + 1 + after <= self.longest), total, NEVER)
            order = np.argsort(-total, axis=None, kind="stable")[: 2 * beams]
            kept: list[tuple[int, int]] = []
            for beam, token in zip(*np.unravel_index(order, total.shape), strict=True):
                if total[beam, token] <= NEVER / 2:
                    break
                if after[beam, token] == 0:
                    whole = (*tokens[beam, 1 : length + 1].tolist(), int(token))
                    finished.append((float(total[beam, token]), whole))
                elif len(kept) < beams:
                    kept.append((int(beam), int(token)))
            finished = sorted(finished, reverse=True)[:beams]
            if not kept or length + 1 == self.longest:
                break
            if len(finished) == beams and total[kept[0]] < finished[-1][0]:
                break
            number = len(kept)
            chosen, next_tokens = (np.array(each) for each in zip(*kept, strict=True))
            tokens[:number], missing[:number] = tokens[chosen], after[chosen, next_tokens]
            tokens[:number, length + 1] = next_tokens
            score[:number], score[number:] = total[chosen, next_tokens], NEVER
        return [skeleton for _, skeleton in finished]


def _by_session(session: Any, endpoint: str, names: list[str]) -> Callable[..., np.ndarray]:
    def run(*arrays: np.ndarray) -> np.ndarray:
        inputs = dict(zip(names, arrays, strict=True))
        return next(iter(session.run(inputs, endpoint, allow_out_of_range=True).values()))

    return run


def _by_model(model: Any, method: Callable[..., Any], tensors: list) -> Callable[..., np.ndarray]:
    """A method as a graph, as it is asked for every token."""
    import keras

    from zoo.families.compiled import as_graph

    graph = as_graph(model, method, [(tuple(tensor.shape), tensor.dtype) for tensor in tensors])
    return lambda *arrays: keras.ops.convert_to_numpy(graph(*map(keras.ops.convert_to_tensor, arrays)))
