"""Explanation methods are registered: a file that is added is enough, ours or a package's."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from zoo import registration
from zoo.errors import ExplanationError, InputError, UnknownNameError
from zoo.families.logistic import Logistic
from zoo.interpret import explain, methods
from zoo.interpret.methods import explanation_method, given_options, method_named, registered

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


@pytest.fixture
def fresh(monkeypatch):
    """A register to which a test can add."""
    registered()
    monkeypatch.setattr(methods, "_methods", dict(methods._methods))


def test_a_method_of_ones_own(fresh):
    @explanation_method("distance", "how far an element is from the baseline", baseline=True)
    def distance(answer, x, start, *, power: float = 1.0):
        return np.abs(x - start) ** power

    found = explain(Logistic(4), X, method="distance", power=2.0, baseline=1.0)
    np.testing.assert_allclose(found.values, (X - 1) ** 2, rtol=1e-6)
    assert found.meta["power"] == 2.0
    assert "  distance " in methods.described()
    with pytest.raises(InputError, match="takes no patch; lime, occlusion and shap do"):
        explain(Logistic(4), X, method="distance", patch=2)
    assert "distance" in methods.possible(Logistic(4))


@pytest.fixture
def packages(tmp_path, monkeypatch, fresh):
    """Installed packages, of which all but one do harm when they are imported."""
    (tmp_path / "their_methods.py").write_text(
        "from zoo.interpret.methods import explanation_method\n"
        "@explanation_method('theirs', 'all the same', kind='global', asks='nothing')\n"
        "def theirs(asked, *, layer=None):\n    return None\n"
    )
    harm = {"exits": "raise SystemExit(3)", "loops": "while True: pass", "dies": "import os; os._exit(4)", "breaks": "1 / 0"}
    harm["takes-ours"] = (
        "from zoo.interpret.methods import explanation_method\n"
        "@explanation_method('gradient', 'another')\ndef gradient(answer, x, start):\n    return x\n"
    )
    for name, code in harm.items():
        (tmp_path / f"their_{name.replace('-', '_')}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint(name, f"their_{name.replace('-', '_')}", methods.GROUP) for name in harm]
    points.append(EntryPoint("theirs", "their_methods", methods.GROUP))
    for module in (methods, registration):
        monkeypatch.setattr(module, "entry_points", lambda group: tuple(points) if group == methods.GROUP else ())
    yield
    for name in [name for name in sys.modules if name.startswith("their_")]:
        del sys.modules[name]


def test_an_installed_package_brings_a_method(packages):
    assert method_named("theirs").options == {"layer"}
    assert "theirs                   all the same; --layer" in methods.described(("layer",))
    with pytest.raises(UnknownNameError, match="no attribution method named 'theirs'"):
        method_named("theirs", "attribution")


def test_packages_are_imported_only_when_their_method_is_asked_for(packages):
    """Lists and the other methods do without those that exit, end the process or never return when they are imported."""
    assert "theirs" not in registered()
    assert "Methods of installed packages\n  breaks\n  dies\n  exits\n  loops\n  takes-ours\n  theirs" in methods.described()
    assert "occlusion" in methods.possible(Logistic(4))
    with pytest.raises(UnknownNameError, match="no method named 'thiers'; did you mean theirs"):
        method_named("thiers")
    assert not [name for name in sys.modules if name.startswith("their_")]
    for name, said in (
        ("exits", r"SystemExit\(3\)"),
        ("breaks", "ZeroDivisionError"),
        ("takes-ours", "two explanation methods"),
    ):
        with pytest.warns(UserWarning, match=f"cannot be loaded: .*{said}"), pytest.raises(UnknownNameError, match=f"'{name}'"):
            method_named(name)
    assert method_named("theirs").kind == "global"


def test_two_methods_of_one_name_are_refused(fresh):
    with pytest.raises(ValueError, match=r"named 'gradient': zoo\.interpret\.attribution\.gradients\.gradient and"):

        @explanation_method("gradient", "another")
        def another(answer, x, start):
            return x


def test_options_follow_from_the_function():
    assert method_named("occlusion").options == {"patch", "endpoint", "output", "target", "wrt"}
    assert method_named("stability").options == {"of", "endpoint", "output", "target", "wrt"}
    assert method_named("latents").options == {"rows", "search"}
    assert method_named("traversal").options == set()
    with pytest.raises(InputError, match="--method gradient takes no --layer, which goes with grad_cam, "):
        given_options(method_named("gradient"), {"layer": "head", "patch": None})
    with pytest.raises(UnknownNameError, match="did you mean randomization"):
        method_named("randomisation")
    with pytest.raises(UnknownNameError, match="no attribution method named 'traversal'"):
        method_named("traversal", "attribution")


def test_what_a_model_does_not_have_is_said_before_rows_are_made():
    for name, message in (("impurity_importance", "needs trees"), ("grad_cam", "needs a convolution")):
        with pytest.raises(ExplanationError, match=message):
            method_named(name).check(Logistic(4))
    assert "grad_cam" not in methods.possible(Logistic(4))


@pytest.mark.parametrize("arguments", [["--help"], ["explain", "--help"]])
def test_help_is_quick(arguments):
    """Help loads no framework, and that of the program none of the methods."""
    code = (
        f"import sys; sys.argv = ['zoo', *{arguments}]\n"
        "from zoo.cli import app\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\n"
        "heavy = {'keras', 'tensorflow', 'sklearn', 'scipy', 'matplotlib', 'shap'} & set(sys.modules)\n"
        "print('loaded', sorted(heavy), 'zoo.interpret.methods' in sys.modules)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == f"loaded [] {'explain' in arguments}"
