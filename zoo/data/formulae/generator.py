"""Skeletons at random, with constants where formulae of physics have them.

They are trees of operators of one and of two arguments, all shapes of a size alike (Lample & Charton 2020, arXiv:1912.01412,
appendix C).
"""

from __future__ import annotations

from bisect import bisect
from functools import cache
from itertools import accumulate

import numpy as np

from zoo.data.formulae.canonical import Degenerate, simplified
from zoo.families.expression import (
    ARGUMENTS,
    CONSTANT,
    COS,
    EXP,
    LOG,
    MINUS,
    OVER,
    PLUS,
    POW2,
    POW3,
    SIN,
    SQRT,
    TIMES,
    Skeleton,
)

UNARY = {POW2: 4.0, POW3: 2.0, SQRT: 3.0, EXP: 2.0, LOG: 1.5, SIN: 2.0, COS: 2.0}
BINARY = {PLUS: 4.0, MINUS: 3.0, TIMES: 5.0, OVER: 4.0}
"""How often operators stand in a tree, relative to others of as many arguments."""
VARIABLE_SHARES = {1: 0.3, 2: 0.35, 3: 0.25, 4: 0.1}
"""Shares of formulae of so many variables at most."""
LEAF_CONSTANT = 0.1
"""Share of leaves that are constants, but for those that are added below."""
FACTOR, SHIFT = 0.15, 0.1
"""Share of subtrees that are multiplied with a constant, and of those that one is added to."""
MOST_CONSTANTS = 4
OPERATOR_SHARES = {1: 1.0, 2: 3.0, 3: 5.0, 4: 6.0, 5: 6.0, 6: 5.0, 7: 4.0, 8: 3.0}
"""Shares of trees of so many operators, before constants are multiplied or added."""
WITHIN = {SIN: {SIN, COS}, COS: {SIN, COS}, EXP: {EXP}, LOG: {LOG, EXP}}
"""Operators that do not stand within others, as in NeSymReS, since next to no formula of physics has them there."""


@cache
def _trees(empty: int, operators: int) -> float:
    """How many trees of so many operators can be made from so many empty places, one leaf and one operator of each kind."""
    if not operators:
        return 1.0
    if not empty:
        return 0.0
    return _trees(empty - 1, operators) + _trees(empty, operators - 1) + _trees(empty + 1, operators - 1)


def _shape(operators: int, rng: np.random.Generator) -> list[int]:
    """Numbers of arguments in prefix order, of a tree with so many operators."""
    shape, empty = [], 1
    while empty:
        leaf = _trees(empty - 1, operators)
        one, two = (_trees(empty + more, operators - 1) if operators else 0.0 for more in (0, 1))
        place = rng.random() * (leaf + one + two)
        arguments = 0 if place < leaf else 1 if place < leaf + one else 2
        shape.append(arguments)
        operators -= arguments > 0
        empty += arguments - 1
    return shape


class _Choice:
    """One of some numbers, each as often as its share says."""

    def __init__(self, shares: dict[int, float]) -> None:
        self.tokens, self.ends = list(shares), list(accumulate(shares.values()))

    def __call__(self, rng: np.random.Generator) -> int:
        return self.tokens[bisect(self.ends, rng.random() * self.ends[-1])]


_OF_ONE, _OF_TWO = _Choice(UNARY), _Choice(BINARY)
_SIZES, _WIDTHS = _Choice(OPERATOR_SHARES), _Choice(VARIABLE_SHARES)


def drawn_skeleton(rng: np.random.Generator, longest: int) -> Skeleton | None:
    """A skeleton of at most so many tokens, written in the one way of `simplified`; None where the tree that was drawn is none.

    Parameters
    ----------
    rng : Generator
        The source of the tree.
    longest : int
        Tokens at most.

    Returns
    -------
    tuple of int or None
        The skeleton, whose variables are the first ones.
    """
    variables = _WIDTHS(rng)
    tokens: list[int] = []
    for arguments in _shape(_SIZES(rng), rng):
        if arguments == 0:
            constant = rng.random() < LEAF_CONSTANT
            tokens.append(CONSTANT if constant else 1 + int(rng.integers(variables)))
        else:
            tokens.append((_OF_ONE if arguments == 1 else _OF_TWO)(rng))
    with_constants = _with_constants(tokens, rng)
    if with_constants.count(CONSTANT) > MOST_CONSTANTS or _nested(with_constants):
        return None
    try:
        skeleton = simplified(_first_variables(with_constants))
    except Degenerate:
        return None
    if len(skeleton) > longest or skeleton == (CONSTANT,) or _nested(skeleton):
        return None
    return _first_variables(skeleton)


def _with_constants(tokens: list[int], rng: np.random.Generator) -> Skeleton:
    """Constants before some subtrees: a factor, or, for what they are added to, a shift."""
    found: list[int] = []
    for token, number in zip(tokens, rng.random(len(tokens)), strict=True):
        if token != CONSTANT and number < FACTOR:
            found += [TIMES, CONSTANT]
        elif token != CONSTANT and number < FACTOR + SHIFT:
            found += [PLUS, CONSTANT]
        found.append(token)
    return tuple(found)


def _first_variables(tokens: Skeleton) -> Skeleton:
    """The skeleton with its variables renamed in their order to the first ones, so that none is left out."""
    used = sorted({token for token in tokens if 0 < token < CONSTANT})
    new = {old: number for number, old in enumerate(used, start=1)}
    return tuple(new.get(token, token) for token in tokens)


def _nested(tokens: Skeleton) -> bool:
    """Whether an operator stands where none does."""
    open_at: list[tuple[int, int]] = []  # an operator, and how many arguments it still waits for
    for token in tokens:
        if any(token in WITHIN.get(outer, ()) for outer, _ in open_at):
            return True
        open_at.append((token, int(ARGUMENTS[token])))
        while open_at and open_at[-1][1] == 0:
            open_at.pop()
            if open_at:
                open_at[-1] = (open_at[-1][0], open_at[-1][1] - 1)
    return False
