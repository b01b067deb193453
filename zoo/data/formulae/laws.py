"""Formulae that searches are judged by, each with the ranges of its variables.

They are Nguyen's twelve (Uy et al. 2011, doi:10.1007/s10710-010-9121-2), and those of Feynman's lectures with up to three
variables (Udrescu & Tegmark 2020, arXiv:1905.11481).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zoo.families.expression import Expression, Skeleton

Range = tuple[float, float]


@dataclass(frozen=True)
class Law:
    """A formula that is known.

    Attributes
    ----------
    name : str
        What it is called in its set.
    text : str
        The formula, as `Expression.parsed` takes it.
    ranges : tuple of tuple of float
        The range that each variable is drawn from, uniformly.
    """

    name: str
    text: str
    ranges: tuple[Range, ...]

    @cached_property
    def expression(self) -> Expression:
        """The formula."""
        return Expression.parsed(self.text)

    @property
    def skeleton(self) -> Skeleton:
        """Its tokens, as they are written here."""
        return self.expression.tokens

    def points(self, n: int, rng: np.random.Generator, beyond: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Points (n, variables) and what the formula is there (n,), without noise.

        They are in the ranges, or ``beyond``: above them by up to half of their length, in every variable.
        """
        low, high = np.array(self.ranges).T
        if beyond:
            low, high = high, high + (high - low) / 2
        x = rng.uniform(low, high, (n, len(low)))
        return x, self.expression(x)


def _nguyen() -> tuple[Law, ...]:
    one, two = ((-1.0, 1.0),), ((0.0, 1.0), (0.0, 1.0))
    given = [
        ("x1**3 + x1**2 + x1", one),
        ("x1**4 + x1**3 + x1**2 + x1", one),
        ("x1**5 + x1**4 + x1**3 + x1**2 + x1", one),
        ("x1**6 + x1**5 + x1**4 + x1**3 + x1**2 + x1", one),
        ("sin(x1**2)*cos(x1) - 1", one),
        ("sin(x1) + sin(x1 + x1**2)", one),
        ("log(x1 + 1) + log(x1**2 + 1)", ((0.0, 2.0),)),
        ("sqrt(x1)", ((0.0, 4.0),)),
        ("sin(x1) + sin(x2**2)", two),
        ("2*sin(x1)*cos(x2)", two),
        ("x1**x2", two),
        ("x1**4 - x1**3 + x2**2/2 - x2", two),
    ]
    return tuple(Law(f"nguyen-{number}", text, ranges) for number, (text, ranges) in enumerate(given, start=1))


def _feynman() -> tuple[Law, ...]:
    usual, slow, fast = (1.0, 5.0), (1.0, 2.0), (3.0, 10.0)
    given: list[tuple[str, str, tuple[Range, ...]]] = [
        ("I.6.2a", "exp(-x1**2/2)/sqrt(2*pi)", ((1.0, 3.0),)),
        ("I.6.2", "exp(-(x1/x2)**2/2)/(sqrt(2*pi)*x2)", ((1.0, 3.0), (1.0, 3.0))),
        ("I.10.7", "x1/sqrt(1 - x2**2/x3**2)", (usual, slow, fast)),
        ("I.12.1", "x1*x2", (usual, usual)),
        ("I.12.4", "x1/(4*pi*x2*x3**2)", (usual, usual, usual)),
        ("I.14.4", "x1*x2**2/2", (usual, usual)),
        ("I.15.10", "x1*x2/sqrt(1 - x2**2/x3**2)", (usual, slow, fast)),
        ("I.16.6", "(x1 + x2)/(1 + x1*x2/x3**2)", (usual, usual, usual)),
        ("I.18.12", "x1*x2*sin(x3)", (usual, usual, (0.0, 5.0))),
        ("I.25.13", "x1/x2", (usual, usual)),
        ("I.27.6", "1/(1/x1 + x2/x3)", (usual, usual, usual)),
        ("I.30.3", "x1*sin(x2*x3/2)**2/sin(x3/2)**2", (usual, usual, usual)),
        ("I.34.1", "x1/(1 - x2/x3)", (usual, slow, fast)),
        ("I.34.14", "(1 + x2/x3)/sqrt(1 - x2**2/x3**2)*x1", (usual, slow, fast)),
        ("I.37.4", "x1 + x2 + 2*sqrt(x1*x2)*cos(x3)", (usual, usual, usual)),
        ("I.39.11", "x1*x2/(x3 - 1)", (usual, usual, (2.0, 5.0))),
        ("I.43.31", "x1*x2*x3", (usual, usual, usual)),
        ("I.47.23", "sqrt(x1*x2/x3)", (usual, usual, usual)),
        ("I.48.2", "x1*x3**2/sqrt(1 - x2**2/x3**2)", (usual, slow, fast)),
        ("II.3.24", "x1/(4*pi*x2**2)", (usual, usual)),
        ("II.4.23", "x1/(4*pi*x2*x3)", (usual, usual, usual)),
        ("II.10.9", "x1/x2/(1 + x3)", (usual, usual, usual)),
        ("II.11.28", "1 + x1*x2/(1 - x1*x2/3)", ((0.0, 1.0), (0.0, 1.0))),
        ("II.15.4", "-x1*x2*cos(x3)", (usual, usual, usual)),
        ("II.27.16", "x1*x2*x3**2", (usual, usual, usual)),
        ("II.34.2a", "x1*x2/(2*pi*x3)", (usual, usual, usual)),
        ("II.37.1", "x1*(1 + x2)*x3", (usual, usual, usual)),
        ("II.38.14", "x1/(2*(1 + x2))", (usual, usual)),
        ("III.8.54", "sin(x1*x2/(x3/(2*pi)))**2", (slow, slow, (1.0, 4.0))),
        ("III.15.12", "2*x1*(1 - cos(x2*x3))", (usual, usual, usual)),
        ("III.15.14", "(x1/(2*pi))**2/(2*x2*x3**2)", (usual, usual, usual)),
        ("III.17.37", "x1*(1 + x2*cos(x3))", (usual, usual, usual)),
    ]
    return tuple(Law(f"feynman-{name}", text, ranges) for name, text, ranges in given)


NGUYEN, FEYNMAN = _nguyen(), _feynman()
FORMS = {
    "nguyen-5": ["sin(x1**2 + x1) + sin(x1**2 - x1) - 2"],
    "nguyen-6": ["sin(x1 + x1**2/2)*cos(x1**2/2)"],
    "nguyen-10": ["sin(x1 + x2) + sin(x1 - x2)"],
    "feynman-I.10.7": ["x1/sqrt((1 - x2/x3)*(1 + x2/x3))", "x1*x3/sqrt((x3 - x2)*(x3 + x2))"],
    "feynman-I.15.10": ["x1*x2/sqrt((1 - x2/x3)*(1 + x2/x3))", "x1*x2*x3/sqrt((x3 - x2)*(x3 + x2))"],
    "feynman-I.30.3": ["x1*(1 - cos(x2*x3))/(1 - cos(x3))", "x1*sin(x2*x3/2)**2/(1 - cos(x3))",
                       "x1*(1 - cos(x2*x3))/sin(x3/2)**2"],
    "feynman-I.34.14": ["(1 + x2/x3)/sqrt((1 - x2/x3)*(1 + x2/x3))*x1", "x1*sqrt((x3 + x2)/(x3 - x2))"],
    "feynman-I.48.2": ["x1*x3**2/sqrt((1 - x2/x3)*(1 + x2/x3))", "x1*x3**3/sqrt((x3 - x2)*(x3 + x2))"],
    "feynman-II.11.28": ["(3 + 2*x1*x2)/(3 - x1*x2)", "3/(3 - x1*x2)"],
    "feynman-III.8.54": ["1 - cos(4*pi*x1*x2/x3)"],
    "feynman-III.15.12": ["4*x1*sin(x2*x3/2)**2"],
}  # fmt: skip
"""Further forms, up to a factor and an added constant, which other rules give than those of `identity`.

They are made by identities of sine and cosine, by fractions that are divided, and by squares whose difference is a product.
"""
LAWS: dict[str, tuple[Law, ...]] = {"Nguyen": NGUYEN, "Feynman": FEYNMAN}
"""The formulae of each set.

Of Feynman's, those that differ by names or a constant factor stand once. There is none with an arc sine, which no token writes.
"""
