"""Docstrings have types where numpydoc has its types, and names are spelled as Americans do."""

import ast
import itertools
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = [path for wing in ("zoo", "training", "export", "serving") for path in sorted((ROOT / wing).rglob("*.py"))]
EVERYTHING = PACKAGE + [
    path for folder in ("tests", "examples", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))
]

SECTIONS = {"Parameters", "Attributes", "Returns", "Yields", "Raises"}
WORDS = re.compile(
    "str|int|float|bool|bytes|bytearray|memoryview|complex|object|callable|hashable|awaitable|type|module|dtype|ndarray|array_like"
    "|dict|mapping|list|sequence|tuple|set|frozenset|collection|iterable|iterator|generator|slice|path|optional"
)
"""What types are made of, besides names of classes."""
JOINTS = re.compile(r"\{[^}]*\}| of shape \([^)]*\)|, | or | of | to | and |[()\[\]]")
CLASS = re.compile(r"(\w+\.)*[A-Z]\w*|\w+(\.\w+)+|\.\.\.")

BRITISH = re.compile(
    "colour|centre|neighbour|behaviour|favour|grey|catalogue|artefact|modell|labelled|labelling"
    "|(standard|normal|vector|maxim|minim|optim|initial|random|summar|general|factor|regular|linear|parametr|polar|quant|character"
    "|serial|local|real|visual|recogn|organ|equal|util|penal)is(e|ing|ation)",
    re.IGNORECASE,
)


def is_type(said: str) -> bool:
    """Whether words make a type: names of classes and of built-in types, joined."""
    return all(WORDS.fullmatch(word) or CLASS.fullmatch(word) for word in JOINTS.sub(" ", said).split())


def entries(docstring: str) -> Iterator[tuple[str, str]]:
    """Section and first line of what a docstring documents."""
    section = ""
    for line, following in itertools.pairwise([*docstring.splitlines(), ""]):
        if re.fullmatch("-{3,}", following):
            section = line
        elif section in SECTIONS and line and not line.startswith((" ", "---")):
            yield section, line


def without_a_type(source: str) -> Iterator[str]:
    """Name of each function or class with an entry that has something else in the type's place."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for section, entry in entries(ast.get_docstring(node) or ""):
                name, colon, said = entry.partition(" : ")
                answers = section in ("Returns", "Yields", "Raises")
                if not is_type(said if colon else name) or not (colon or answers):
                    yield f"{node.name}: {section}: {entry}"


@pytest.mark.parametrize("wing", ["zoo", "training", "export", "serving"])
def test_types_stand_where_types_belong(wing):
    found = [
        f"{path.relative_to(ROOT)}: {entry}"
        for path in PACKAGE
        if path.relative_to(ROOT).parts[0] == wing
        for entry in without_a_type(path.read_text())
    ]
    assert not found, "expected 'name : type' with a sentence beneath:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("dict of str to ndarray, optional", True),
        ('{"gaussian", "cauchy"}', True),
        ("ndarray of shape (n, D)", True),
        ("tuple of (grpc.aio.Server, int)", True),
        ("units of the hidden layers", False),
        ("Seconds", True),  # it may be a class
        ("(n,) each", False),
        ("of the card", False),
    ],
)
def test_what_is_a_type(said, expected):
    assert is_type(said) == expected


def test_a_sentence_in_the_place_of_a_type_is_named():
    source = 'def f(x):\n    """Do.\n\n    Parameters\n    ----------\n    x : of the card\n    y\n    """\n'
    assert list(without_a_type(source)) == ["f: Parameters: x : of the card", "f: Parameters: y"]


def test_names_are_american():
    found = set()
    for path in EVERYTHING:
        with tokenize.open(path) as file:
            for token in tokenize.generate_tokens(file.readline):
                if token.type == tokenize.NAME and BRITISH.search(token.string):
                    found.add(f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}")
    assert not found, "\n".join(sorted(found))
