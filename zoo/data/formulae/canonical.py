"""One way to write a skeleton, and what is the same of all ways to write it.

``simplified`` writes sums and products in one order, with as few constants as there are numbers to be chosen. ``identity``
multiplies out, and leaves out the constants, so that formulae which constants make equal have one identity, while others may
share it too. Both are rules, since computer algebra takes a hundred times as long (arXiv:2602.08885).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain, permutations
from typing import Any

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
    VARIABLES,
    Skeleton,
    whole_power,
)

Tree = tuple
"""A token, and the trees of its arguments."""
Identity = frozenset
"""Monomials of a formula, each a set of factors and their exponents."""

C: Tree = (CONSTANT,)
SUM = PLUS
"""Of a factor that is a sum; numbers in place of names, as sets of names have another order in every process."""
POWERS = {POW2: 2.0, POW3: 3.0, SQRT: 0.5}
MOST_TERMS = 64
"""Terms to which a product is multiplied out."""


class Degenerate(ValueError):
    """A skeleton that is a constant, or needs a power that no tokens write."""


def tree_of(tokens: Iterable[int]) -> Tree:
    """The tree of a skeleton."""

    def read(rest: Iterator[int]) -> Tree:
        token = next(rest)
        return (token, *(read(rest) for _ in range(ARGUMENTS[token])))

    return read(iter(tokens))


@lru_cache(2**16)
def tokens_of(tree: Tree) -> Skeleton:
    """The skeleton of a tree."""
    return (tree[0], *chain.from_iterable(tokens_of(each) for each in tree[1:]))


def simplified(tokens: Skeleton) -> Skeleton:
    """The one way in which a skeleton is written here.

    Parameters
    ----------
    tokens : tuple of int
        The skeleton.

    Returns
    -------
    tuple of int
        The skeleton of the same formulae.

    Raises
    ------
    Degenerate
        Terms cancel to nothing, or there is a power that squares, cubes and roots do not make.
    """
    before, after = tokens, tokens_of(_simple(tree_of(tokens)))
    while after != before:
        before, after = after, tokens_of(_simple(tree_of(after)))
    return after


def _simple(tree: Tree) -> Tree:
    token, *arguments = tree
    if not arguments:
        return tree
    arguments = [_simple(each) for each in arguments]
    if all(each == C for each in arguments):
        return C
    if token in (PLUS, MINUS):
        return _sum([(token, *arguments)])
    if token in (TIMES, OVER) or token in POWERS:
        return _product((token, *arguments))
    (inside,) = arguments
    coefficient, bare = _coefficient(inside)
    if token == EXP:
        if inside[0] == LOG:
            return inside[1]
        if inside[0] == PLUS and C in inside[1:]:  # of a sorted sum, the constant is the last
            return _product((TIMES, C, (EXP, inside[1])))
    if token == LOG:
        if inside[0] == EXP:
            return inside[1]
        if coefficient:
            return _sum([(PLUS, C, (LOG, bare))])
        if inside[0] in POWERS:
            return _product((TIMES, C, (LOG, inside[1])))
    if token == COS and inside[0] == PLUS and C in inside[1:]:
        return (SIN, inside)
    return (token, inside)


def _coefficient(tree: Tree) -> tuple[bool, Tree]:
    """Whether a constant multiplies a tree, and the tree without it; constants come first in a product."""
    if tree == C:
        return True, tree
    if tree[0] == TIMES and tree[1] == C:
        return True, tree[2]
    if tree[0] == OVER and _coefficient(tree[1])[0]:  # C / t, or C a / t
        top = _coefficient(tree[1])[1]
        return True, tree if top == C else (OVER, top, tree[2])
    return False, tree


def _terms(tree: Tree, sign: int = 1) -> Iterator[tuple[int, Tree]]:
    """Terms of a sum with their signs."""
    if tree[0] in (PLUS, MINUS):
        yield from _terms(tree[1], sign)
        yield from _terms(tree[2], sign if tree[0] == PLUS else -sign)
    else:
        yield sign, tree


def _sum(trees: list[Tree]) -> Tree:
    """Terms in one order: those that are added, then those that are taken away, and a constant in the end."""
    signs: dict[tuple[Tree, int], int | None] = {}  # of terms without coefficient: how often there, None for any number
    for place, (sign, term) in enumerate(chain.from_iterable(map(_terms, trees))):
        coefficient, bare = _coefficient(term)
        own = _apart(bare, place)
        known = signs.get(own, 0)
        signs[own] = None if coefficient or known is None else known + sign
    if 0 in signs.values():
        raise Degenerate("terms cancel")
    constant = signs.pop((C, 0), 0) != 0
    terms = [(False, bare) if n == 1 else (n == -1, bare if n == -1 else _scaled(bare)) for (bare, _), n in signs.items()]
    added = sorted((term for minus, term in terms if not minus), key=_order)
    taken = sorted((term for minus, term in terms if minus), key=_order)
    if not added and not constant:  # -a - b is a product with a constant
        added, taken = [_scaled(taken[0])], taken[1:]
    if not added:
        added, constant = [C], False
    total = added[0]
    for term in added[1:]:
        total = (PLUS, total, term)
    for term in taken:
        total = (MINUS, total, term)
    return (PLUS, total, C) if constant else total


def _apart(tree: Tree, place: int) -> tuple[Tree, int]:
    """A key of a term or factor: those that look alike but have constants, of which each is a number of its own, differ."""
    return tree, 0 if tree == C or CONSTANT not in tokens_of(tree) else 1 + place


def _scaled(bare: Tree) -> Tree:
    """A constant times a tree that has none."""
    if bare[0] == OVER and bare[1] == C:
        return bare
    return (OVER, _scaled(bare[1]), bare[2]) if bare[0] == OVER else (TIMES, C, bare)


def _order(tree: Tree) -> tuple[int, Skeleton]:
    tokens = tokens_of(tree)
    return len(tokens), tokens


def _factors(tree: Tree, exponent: float = 1.0) -> Iterator[tuple[Tree, float]]:
    """Factors of a product with their exponents."""
    if tree[0] == TIMES:
        yield from _factors(tree[1], exponent)
        yield from _factors(tree[2], exponent)
    elif tree[0] == OVER:
        yield from _factors(tree[1], exponent)
        yield from _factors(tree[2], -exponent)
    elif tree[0] in POWERS:
        yield from _factors(tree[1], exponent * POWERS[tree[0]])
    elif tree[0] == EXP and exponent != 1:
        yield (EXP, _product((TIMES, C, tree[1]))), 1.0
    else:
        yield tree, exponent


def _product(tree: Tree) -> Tree:
    """Factors in one order: a constant, then the others; those that divide below one fraction bar."""
    exponents: dict[tuple[Tree, int], float] = {}
    for place, (factor, exponent) in enumerate(_factors(tree)):
        own = _apart(factor, place)
        exponents[own] = exponents.get(own, 0) + exponent
    constant = exponents.pop((C, 0), None) is not None
    factors = [(factor, exponent) for (factor, _), exponent in exponents.items()]
    for place, (factor, exponent) in enumerate(factors):
        if constant and factor[0] in (PLUS, MINUS) and (whole := _with_coefficients(factor)):
            factors[place], constant = (whole, exponent), False
    above = [_power(factor, exponent) for factor, exponent in factors if exponent > 0]
    below = [_power(factor, -exponent) for factor, exponent in factors if exponent < 0]
    top = _multiplied(above, constant)
    return (OVER, top, _multiplied(below, False)) if below else top


def _with_coefficients(tree: Tree) -> Tree | None:
    """A sum whose terms all have coefficients, in place of one times a constant; None where that would take more of them."""
    terms = [_coefficient(term) for _, term in _terms(tree)]
    if sum(not coefficient for coefficient, _ in terms) > 1:
        return None
    return _sum([_scaled(bare) if bare != C else C for _, bare in terms])


def _multiplied(factors: list[Tree], constant: bool) -> Tree:
    if not factors:
        return C
    factors = sorted(factors, key=_order)
    product = factors[0]
    for factor in factors[1:]:
        product = (TIMES, product, factor)
    return (TIMES, C, product) if constant else product


def _power(base: Tree, exponent: float) -> Tree:
    if exponent == 0.25:
        return (SQRT, (SQRT, base))
    doubled = 2 * exponent
    if doubled != int(doubled) or exponent > 9:
        raise Degenerate(f"power {exponent:g}")
    if doubled % 2:
        base, exponent = (SQRT, base), doubled
    return tree_of(whole_power(list(tokens_of(base)), int(exponent)))


def identity(tokens: Skeleton) -> Identity:
    """What is the same of all ways to write a formula: its monomials, whatever their coefficients, without an added constant.

    Parameters
    ----------
    tokens : tuple of int
        The skeleton.

    Returns
    -------
    frozenset
        The monomials. Formulae that are equal for some constants have the same, but for identities of sine and cosine.
    """
    return _polynomial(tree_of(tokens)) - {ONE}


def renamed(tokens: Skeleton) -> Iterator[Skeleton]:
    """A skeleton with its variables under all other names, its own among them."""
    used = sorted({token for token in tokens if 0 < token < CONSTANT})
    for names in permutations(range(1, VARIABLES + 1), len(used)):
        new = dict(zip(used, names, strict=True))
        yield tuple(new.get(token, token) for token in tokens)


ONE: frozenset = frozenset()
"""The monomial of a constant."""


def _polynomial(tree: Tree) -> Identity:
    token, *arguments = tree
    if token == CONSTANT:
        return frozenset([ONE])
    if token < CONSTANT:
        return frozenset([frozenset([(token, 1.0)])])
    first, *others = (_polynomial(each) for each in arguments)
    if token in (PLUS, MINUS):
        return first | others[0]
    if token == TIMES:
        return _times(first, others[0])
    if token == OVER:
        return _times(first, _raised(others[0], -1.0))
    if token == POW2:
        return _times(first, first)
    if token == POW3:
        return _times(first, _times(first, first))
    if token == SQRT:
        return _raised(first, 0.5)
    if token == EXP:
        return frozenset([frozenset(((EXP, monomial), 1.0) for monomial in first - {ONE})])
    if token == LOG:
        return _logarithm(first)
    name = SIN if token == SIN or ONE in first else COS
    return frozenset([frozenset([((name, first), 1.0)])])


def _monomial(factors: Iterable[tuple[Any, float]]) -> frozenset:
    """A product of factors, in which each stands once; exponentials have no exponent but their own."""
    exponents: dict[Any, float] = {}
    for atom, exponent in factors:
        exponents[atom] = 1.0 if _is(atom, EXP) else exponents.get(atom, 0.0) + exponent
    return frozenset((atom, exponent) for atom, exponent in exponents.items() if exponent)


def _is(atom: Any, name: int) -> bool:
    return isinstance(atom, tuple) and atom[0] == name


def _times(first: Identity, second: Identity) -> Identity:
    if len(first) * len(second) > MOST_TERMS:
        return frozenset([_monomial([((SUM, first), 1.0), ((SUM, second), 1.0)])])
    found: set = set()
    for a in first:
        for b in second:
            found |= _expanded(_monomial(chain(a, b)))
    return frozenset(found)


def _expanded(monomial: frozenset) -> Identity:
    """A monomial in which no sum has a whole exponent that is positive."""
    for atom, exponent in monomial:
        if _is(atom, SUM) and exponent >= 1 and exponent == int(exponent) and len(atom[1]) ** exponent <= MOST_TERMS:
            found: Identity = frozenset([monomial - {(atom, exponent)}])
            for _ in range(int(exponent)):
                found = _times(found, atom[1])
            return found
    return frozenset([monomial])


def _primitive(terms: Identity) -> tuple[frozenset, Identity]:
    """The largest monomial that divides all terms, and what is left of them."""
    least: dict[Any, float] = {}
    tables = [dict(term) for term in terms]
    for atom in set(chain.from_iterable(tables)):
        if not _is(atom, EXP):
            least[atom] = min(table.get(atom, 0.0) for table in tables)
    common = _monomial(least.items())
    inverse = [(atom, -exponent) for atom, exponent in common]
    return common, frozenset(_monomial(chain(term, inverse)) for term in terms)


def _raised(terms: Identity, exponent: float) -> Identity:
    if len(terms) == 1:
        (term,) = terms
        return _expanded(_monomial((atom, own * exponent) for atom, own in term))
    common, rest = _primitive(terms)
    return _expanded(_monomial([*((atom, own * exponent) for atom, own in common), ((SUM, rest), exponent)]))


def _logarithm(terms: Identity) -> Identity:
    common, rest = _primitive(terms) if len(terms) > 1 else (next(iter(terms)), ())
    found = [atom[1] if _is(atom, EXP) else frozenset([((LOG, atom), 1.0)]) for atom, _ in common]
    if rest:
        found.append(frozenset([((LOG, (SUM, rest)), 1.0)]))
    return frozenset(found)
