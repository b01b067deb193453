"""Formulae of up to four variables as tokens in prefix order, and what they are at points.

A skeleton is a tuple of token numbers: ``(6, 1, 5)`` is ``+ x1 C``, or x1 + C. Constants are placeholders in it, as in NeSymReS
(Biggio et al. 2021, arXiv:2106.06427); they stand beside it in the order in which they are written.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from zoo.errors import InputError

TOKENS = ("begin", "x1", "x2", "x3", "x4", "C", "+", "-", "*", "/", "pow2", "pow3", "sqrt", "exp", "log", "sin", "cos")
"""Name of each token by its number; the first is no part of a formula, and fills what is behind its end."""
NUMBER = {name: number for number, name in enumerate(TOKENS)}
VARIABLES = 4
CONSTANT = NUMBER["C"]
ARGUMENTS = np.array([0] * 6 + [2] * 4 + [1] * 7)
"""How many arguments each token takes."""
DIGITS = 4
"""Digits of a constant as it is written."""

Skeleton = tuple[int, ...]

PLUS, MINUS, TIMES, OVER, POW2, POW3, SQRT, EXP, LOG, SIN, COS = range(CONSTANT + 1, len(TOKENS))

_FUNCTIONS = (SQRT, EXP, LOG, SIN, COS)
_ARITHMETIC: dict[int, Callable[..., Any]] = {
    PLUS: operator.add,
    MINUS: operator.sub,
    TIMES: operator.mul,
    OVER: operator.truediv,
    POW2: lambda a: a * a,
    POW3: lambda a: a * a * a,
}


def operators_of(library: Any) -> dict[int, Callable[..., Any]]:
    """What each operator does, by its token, with the roots, exponentials, logarithms, sines and cosines of a library."""
    return _ARITHMETIC | {token: getattr(library, TOKENS[token]) for token in _FUNCTIONS}


_OPERATORS = operators_of(np)
_SLOPE: dict[int, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    POW2: lambda a, f: 2 * a,
    POW3: lambda a, f: 3 * a * a,
    SQRT: lambda a, f: 0.5 / f,
    EXP: lambda a, f: f,
    LOG: lambda a, f: 1 / a,
    SIN: lambda a, f: np.cos(a),
    COS: lambda a, f: -np.sin(a),
}


def is_whole(tokens: Sequence[int]) -> bool:
    """Whether tokens are one formula in prefix order: its last token, and none before, is the last that is missing."""
    missing = 1 + np.cumsum(ARGUMENTS[list(tokens)] - 1)
    return len(tokens) > 0 and missing[-1] == 0 and bool((missing[:-1] > 0).all())


def values(tokens: Skeleton, x: np.ndarray, constants: Sequence[float] | np.ndarray = ()) -> np.ndarray:
    """Values of a formula at points, without a warning where there are none.

    Parameters
    ----------
    tokens : tuple of int
        The skeleton.
    x : ndarray of shape (n, variables)
        The points.
    constants : sequence of float
        The constants, in the order in which they are written.

    Returns
    -------
    ndarray of shape (n,)
        The values; NaN or infinity where the formula has none.
    """
    numbers = np.asarray(constants, np.float64)
    found = walked(tokens, numbers.__getitem__, lambda number: x[:, number], _OPERATORS)
    return np.broadcast_to(found, len(x))


def walked(
    tokens: Skeleton,
    constant: Callable[[int], Any],
    variable: Callable[[int], Any],
    operators: Mapping[int, Callable[..., Any]],
) -> Any:
    """What a skeleton becomes, worked out from its last token to the first.

    Parameters
    ----------
    tokens : tuple of int
        The skeleton.
    constant, variable : callable
        What a constant and a variable become, by their numbers from 0.
    operators : mapping of int to callable
        What each operator makes of what its arguments became, by its token.

    Returns
    -------
    object
        What the whole becomes.
    """
    stack: list[Any] = []
    place = tokens.count(CONSTANT)
    with np.errstate(all="ignore"):
        for token in reversed(tokens):
            if token == CONSTANT:
                place -= 1
                stack.append(constant(place))
            elif token < CONSTANT:
                stack.append(variable(token - 1))
            elif ARGUMENTS[token] == 1:
                stack.append(operators[token](stack.pop()))
            else:
                stack.append(operators[token](stack.pop(), stack.pop()))
    return stack[0]


def values_and_slopes(tokens: Skeleton, x: np.ndarray, constants: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values of a formula at points, and their derivatives by its constants, which are carried from token to token.

    Parameters
    ----------
    tokens : tuple of int
        The skeleton.
    x : ndarray of shape (n, variables)
        The points.
    constants : ndarray of shape (k,)
        The constants.

    Returns
    -------
    tuple of ndarray
        Values (n,) and derivatives (k, n).
    """
    unit = np.eye(len(constants))
    found, slopes = walked(
        tokens, lambda place: (constants[place], unit[:, place, None]), lambda number: (x[:, number], 0.0), _WITH_SLOPES
    )
    return np.broadcast_to(found, len(x)), np.broadcast_to(slopes, (len(constants), len(x)))


def _with_slope(token: int, *arguments: tuple[Any, Any]) -> tuple[Any, Any]:
    """What an operator makes of values and their slopes, which are 0.0 where no constant is beneath."""
    found = _OPERATORS[token](*(value for value, _ in arguments))
    if len(arguments) == 1:
        ((a, da),) = arguments
        return found, 0.0 if isinstance(da, float) else _SLOPE[token](a, found) * da
    (a, da), (b, db) = arguments
    if token == PLUS:
        return found, da + db
    if token == MINUS:
        return found, da - db
    return found, da * b + a * db if token == TIMES else da / b - db * a / (b * b)


_WITH_SLOPES = {token: partial(_with_slope, token) for token in _OPERATORS}


@dataclass(frozen=True, eq=False)
class Expression:
    """A formula with its constants.

    Attributes
    ----------
    tokens : tuple of int
        Its skeleton.
    constants : ndarray
        Its constants, in the order in which they are written, (k,).
    """

    tokens: Skeleton
    constants: np.ndarray

    def __post_init__(self) -> None:
        if not is_whole(self.tokens) or self.tokens.count(CONSTANT) != len(self.constants):
            words = " ".join(TOKENS[token] for token in self.tokens)
            raise InputError(f"expected a whole formula in prefix order and a number for each C, given {words!r}")

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Values (n,) at points (n, variables)."""
        return values(self.tokens, np.asarray(x, np.float64), self.constants)

    def renumbered(self, numbers: Mapping[int, int]) -> Expression:
        """The same formula of other variables, given the token of each that it holds."""
        return Expression(tuple(numbers.get(token, token) for token in self.tokens), self.constants)

    @property
    def complexity(self) -> int:
        """How many tokens are written."""
        return len(self.tokens)

    def __str__(self) -> str:
        """The formula as people write it, its constants in four digits."""
        return self.written([f"{constant:.{DIGITS}g}" for constant in self.constants])

    def written(self, constants: Sequence[str], names: Sequence[str] = TOKENS[1:CONSTANT]) -> str:
        """The formula as people write it.

        Parameters
        ----------
        constants : sequence of str
            Its constants.
        names : sequence of str
            Names of its variables.

        Returns
        -------
        str
            The text, with ``**`` for powers.
        """
        numbers = iter(constants)
        text, rest = _infix(list(self.tokens), lambda token: next(numbers) if token == CONSTANT else names[token - 1], 0)
        assert not rest
        return _LEADING.sub(r"\1-\2", text)

    @classmethod
    def parsed(cls, text: str) -> Expression:
        """A formula from what people write, such as ``"exp(-x1**2 / 2) + 3*x2"``.

        Parameters
        ----------
        text : str
            Variables x1 to x4, numbers and pi, the operators + - * / **, and sqrt, exp, log, sin and cos.

        Returns
        -------
        Expression
            The formula; whole powers are made of squares and cubes, others of exp and log.

        Raises
        ------
        InputError
            The text holds something else.
        """
        try:
            body = ast.parse(text, mode="eval").body
        except SyntaxError as error:
            raise InputError(f"expected a formula such as 'exp(-x1**2 / 2) + 3*x2', given {text!r}") from error
        written = _Parser(text).tokens(body)
        tokens = tuple(CONSTANT if isinstance(one, float) else one for one in written)
        return cls(tokens, np.array([one for one in written if isinstance(one, float)]))


_NEGATIVE = re.compile(r"^\(-([\d.e+-]+)\)(?!\*\*)(.*)$")
"""A negative number in parentheses that begins a term."""
_LEADING = re.compile(r"(^|\()\(-([\d.e+-]+)\)(?!\*\*)")
"""The same, where nothing stands before it."""


def _infix(tokens: list[int], leaf: Callable[[int], str], above: int) -> tuple[str, list[int]]:
    """The first whole formula of some tokens, in parentheses where it binds less than what is above, and what is left."""
    token, rest = tokens[0], tokens[1:]
    if token <= CONSTANT:
        text = leaf(token)
        return (f"({text})" if text.startswith("-") and above else text), rest
    if ARGUMENTS[token] == 1:
        power = {POW2: 2, POW3: 3}.get(token)
        text, rest = _infix(rest, leaf, 4 if power else 0)
        return (f"{text}**{power}" if above < 4 else f"({text}**{power})") if power else f"{TOKENS[token]}({text})", rest
    binds = 1 if token in (PLUS, MINUS) else 2
    left, rest = _infix(rest, leaf, binds)
    right, rest = _infix(rest, leaf, binds + (token in (MINUS, OVER)))
    if binds == 1:
        sign = TOKENS[token]
        if negative := _NEGATIVE.match(right):  # a + (-2)*b is a - 2*b
            sign, right = TOKENS[PLUS + MINUS - token], negative[1] + negative[2]
        text = f"{left} {sign} {right}"
    else:
        text = f"{left}{TOKENS[token]}{right}"
    return (f"({text})" if above > binds else text), rest


class _Parser:
    """Tokens, and numbers where constants stand, of a syntax tree."""

    def __init__(self, text: str) -> None:
        self.text = text

    def tokens(self, node: ast.expr) -> list[int | float]:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return [float(number)]
            case ast.Name(id="pi"):
                return [float(np.pi)]
            case ast.Name(id=name) if NUMBER.get(name, CONSTANT) < CONSTANT and name != TOKENS[0]:
                return [NUMBER[name]]
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return [-float(number)]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return [TIMES, -1.0, *self.tokens(operand)]
            case ast.Call(func=ast.Name(id="sqrt" | "exp" | "log" | "sin" | "cos" as name), args=[argument], keywords=[]):
                return [NUMBER[name], *self.tokens(argument)]
            case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
                return self.power(self.tokens(base), exponent)
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() as op, right=right):
                sign = {ast.Add: PLUS, ast.Sub: MINUS, ast.Mult: TIMES, ast.Div: OVER}[type(op)]
                return [sign, *self.tokens(left), *self.tokens(right)]
        raise InputError(
            f"{ast.unparse(node)!r} in {self.text!r}: expected x1 to x4, numbers, + - * / ** and sqrt, exp, log, sin, cos"
        )

    def power(self, base: list[int | float], exponent: ast.expr) -> list[int | float]:
        match exponent:
            case ast.Constant(value=0.5):
                return [SQRT, *base]
            case ast.Constant(value=int() as whole) if 1 <= whole <= 9:
                return whole_power(base, whole)
        return [EXP, TIMES, *self.tokens(exponent), LOG, *base]


def whole_power(base: list, exponent: int) -> list:
    """Tokens of a power from 1 on, of squares and cubes, and products where there is no other way."""
    if exponent == 1:
        return base
    if exponent % 2 == 0:
        return [POW2, *whole_power(base, exponent // 2)]
    if exponent % 3 == 0:
        return [POW3, *whole_power(base, exponent // 3)]
    return [TIMES, *base, *whole_power(base, exponent - 1)]
