"""Explanation methods are registered: a file that is added is enough, ours or a package's."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest

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


def test_an_installed_package_brings_its_methods(tmp_path, monkeypatch, fresh):
    (tmp_path / "their_methods.py").write_text(
        "from zoo.interpret.methods import explanation_method\n"
        "@explanation_method('theirs', 'all the same', kind='global', asks='nothing')\n"
        "def theirs(asked, *, layer=None):\n    return None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(methods, "_complete", False)
    theirs = EntryPoint("theirs", "their_methods", methods.GROUP)
    monkeypatch.setattr(methods, "entry_points", lambda group: (theirs,) if group == methods.GROUP else ())
    assert registered("global")["theirs"].options == {"layer"}
    assert "theirs                   all the same; --layer" in methods.described(("layer",))


def test_two_methods_of_one_name_are_refused(fresh):
    with pytest.raises(ValueError, match=r"named 'gradient': zoo\.interpret\.attribution\.gradients\.gradient and"):

        @explanation_method("gradient", "another")
        def another(answer, x, start):
            return x


def test_options_follow_from_the_function():
    assert method_named("occlusion").options == {"patch", "endpoint", "output", "target", "wrt"}
    assert method_named("stability").options == {"of", "endpoint", "output", "target", "wrt"}
    assert method_named("latents").options == {"rows"}
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
