"""Points of formulae made at random, and the formulae as tokens: what a network learns to write formulae from."""

from __future__ import annotations

from functools import lru_cache
from itertools import chain
from typing import ClassVar

import numpy as np

from zoo.data.dataset import Rows, Split, register_dataset
from zoo.data.formulae.canonical import Identity, identity, renamed
from zoo.data.formulae.generator import drawn_skeleton
from zoo.data.formulae.laws import FORMS, LAWS
from zoo.errors import InputError
from zoo.families.expression import CONSTANT, VARIABLES, Expression, Skeleton, values
from zoo.seeds import generator

HELD_OUT: dict[Split, int] = {"validation": 1, "test": 2}
"""Which of a hundred identities are those of a split that is held out."""
FEWEST = 10
"""Points of a row at the least."""
LARGEST = 1e4
"""Largest value of a formula in a row."""
LEAST_SPREAD = 1e-3
"""Smallest deviation of values of a formula, relative to the largest of them."""
NOISY = 0.3
"""Share of rows whose values have noise, of up to a tenth of their deviation."""
IDLE = 0.1
"""Share of rows that have one variable more than their formula."""
TRIES = 8


def judged_identities() -> frozenset[Identity]:
    """Identities of all formulae that searches are judged by, and of their other forms, under all names of their variables."""
    texts = [law.text for laws in LAWS.values() for law in laws] + list(chain.from_iterable(FORMS.values()))
    return frozenset(identity(skeleton) for text in texts for skeleton in renamed(Expression.parsed(text).tokens))


@lru_cache(4)
def made_skeletons(count: int, longest: int, seed: int) -> dict[Split, list[tuple[int, Skeleton]]]:
    """Different skeletons in three splits, none of them a formula that is judged by, and no identity in two splits.

    Parameters
    ----------
    count : int
        Number of skeletons of all splits.
    longest : int
        Tokens of a skeleton at most.
    seed : int
        Seed of the skeletons.

    Returns
    -------
    dict of str to list of (int, tuple of int)
        The skeletons of each split, each with its number among all.
    """
    rng, judged = generator([seed, 0]), judged_identities()
    found: dict[Split, list[tuple[int, Skeleton]]] = {"train": [], "validation": [], "test": []}
    known: set[Skeleton] = set()
    places: dict[Identity, int] = {}
    while len(known) < count:
        skeleton = drawn_skeleton(rng, longest)
        if skeleton is None or skeleton in known or identity(skeleton) in judged:
            continue
        # Without the names of the variables, as a formula under other names is the same one.
        nameless = identity(tuple(1 if 0 < token < CONSTANT else token for token in skeleton))
        place = places.setdefault(nameless, int(rng.integers(100)))
        split: Split = next((name for name, own in HELD_OUT.items() if own == place), "train")
        found[split].append((len(known), skeleton))
        known.add(skeleton)
    return found


@register_dataset("formulae")
class Formulae:
    """Points of formulae, with tokens of the formula so far and those that follow.

    Skeletons are made at random and stay; constants, ranges of the variables and points are drawn anew for every row and epoch.
    Those which searches are judged by are left out in every form, and no identity is in two splits.

    Parameters
    ----------
    expressions : int
        Number of skeletons, of all splits together.
    train, validation, test : int
        Rows of each split, the first of them each epoch.
    points : int
        Points of a row at most.
    longest : int
        Tokens of a skeleton at most.
    seed : int
        Seed of skeletons, constants, points and noise.

    Raises
    ------
    InputError
        There are too few skeletons for three splits, or points for a row.
    """

    description = "points of formulae of up to four variables, made at random, and the formulae as tokens"
    simulator = "NumPy"
    fields = ("mathematics", "symbolic-regression")
    units: ClassVar[dict[str, str]] = {"length": "1", "noise": "1"}

    def __init__(
        self,
        expressions: int = 200_000,
        train: int = 16_384,
        validation: int = 1_024,
        test: int = 1_024,
        points: int = 200,
        longest: int = 24,
        seed: int = 0,
    ) -> None:
        if expressions < 1000 or points < FEWEST:
            raise InputError(
                f"expected at least 1000 expressions, of which a hundredth is held out, and {FEWEST} points, given"
                f" {expressions} and {points}"
            )
        self.expressions, self.points, self.longest, self.seed = expressions, points, longest, seed
        self.sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}

    @property
    def skeletons(self) -> dict[Split, list[tuple[int, Skeleton]]]:
        """Skeletons of each split, each with its number among all."""
        return made_skeletons(self.expressions, self.longest, self.seed)

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        number = epoch if split == "train" else 0
        rng = generator([self.seed, 1 + list(self.sizes).index(split), number])
        n, skeletons = self.sizes[split], self.skeletons[split]
        points = np.zeros((n, self.points, VARIABLES + 1), np.float32)
        real = np.zeros((n, self.points), bool)
        target = np.zeros((n, self.longest), np.int32)
        group, noise = np.zeros(n, int), np.zeros(n)
        row = 0
        while row < n:
            group[row], skeleton = skeletons[int(rng.integers(len(skeletons)))]
            drawn = drawn_points(skeleton, self.points, rng)
            if drawn is None:
                continue
            own, noise[row] = drawn
            points[row, : len(own)], real[row, : len(own)] = own, True
            target[row, : len(skeleton)] = skeleton
            row += 1
        tokens = np.concatenate([np.zeros((n, 1), np.int32), target[:, :-1]], axis=1)
        known = np.arange(self.longest) < np.count_nonzero(target, axis=1)[:, None]
        return Rows(
            inputs={"points": points, "real": real, "tokens": tokens, "known": known},
            target=target,
            group=group,
            truth={"length": np.count_nonzero(target, axis=1).astype(float), "noise": noise},
        )


def drawn_points(skeleton: Skeleton, most: int, rng: np.random.Generator) -> tuple[np.ndarray, float] | None:
    """Points of a skeleton with constants, in ranges that are drawn too.

    Parameters
    ----------
    skeleton : tuple of int
        The skeleton.
    most : int
        Points at most.
    rng : Generator
        The source of all that is drawn.

    Returns
    -------
    tuple of (ndarray, float) or None
        Variables and the value (n, 5), unused variables zero, and the noise in deviations of the values; None where no try gave
        finite values that are neither huge nor all the same.
    """
    n = int(rng.integers(FEWEST, most + 1))
    used = max((token for token in skeleton if token < CONSTANT), default=0)
    width = min(VARIABLES, used + (rng.random() < IDLE))
    constants = skeleton.count(CONSTANT)
    for _ in range(TRIES):
        low, high = _ranges(width, rng)
        x = np.zeros((n, VARIABLES))
        x[:, :width] = rng.uniform(low, high, (n, width))
        y = values(skeleton, x, _constants(constants, rng))
        largest = np.abs(y).max()
        if not largest < LARGEST or y.std() <= LEAST_SPREAD * largest:  # NaN too
            continue
        noise = 10 ** rng.uniform(-3, -1) if rng.random() < NOISY else 0.0
        y = y + noise * y.std() * rng.normal(size=n)
        return np.column_stack([x, y]).astype(np.float32), noise
    return None


def _ranges(width: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the range of each variable: in half of the rows positive ones, else on either side of zero."""
    length = np.exp(rng.uniform(np.log(1.0), np.log(10.0), width))
    if rng.random() < 0.5:
        low = rng.choice([0.0, 0.1, 1.0, 2.0, 3.0], width)
        return low, low + length
    if rng.random() < 0.5:
        return -length / 2, length / 2
    low = rng.uniform(-5.0, 5.0, width)
    return low, low + length


def _constants(count: int, rng: np.random.Generator) -> np.ndarray:
    """Constants of either sign, mostly positive, a quarter of them small whole numbers."""
    drawn = np.exp(rng.uniform(np.log(0.1), np.log(10.0), count))
    whole = rng.random(count) < 0.25
    drawn = np.where(whole, rng.integers(1, 5, count), drawn)
    return drawn * np.where(rng.random(count) < 0.3, -1.0, 1.0)
