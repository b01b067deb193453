"""A script that uses the zoo prints what it prints, and nothing of TensorFlow's log."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LOGS = r"""
import os, sys, warnings
from zoo.quiet import quiet_start
with quiet_start():
    warnings.warn("mine")
    os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n")
    os.write(2, b"I0000 00:00:1795770640.339342   30105 port.cc:153] oneDNN custom operations are on.\n")
    os.write(2, b"E0000 00:00:1795770649.189516   30105 cuda_platform.cc:52] failed call to cuInit\n")
    os.write(2, b"F0000 00:00:1795770649.189516   30105 port.cc:1] no AVX\n")
print("later", file=sys.stderr)
"""


def said(code: str, **environment: str) -> list[str]:
    """Lines that a script writes to standard error."""
    given = {key: value for key, value in os.environ.items() if key not in ("TF_CPP_MIN_LOG_LEVEL", "ZOO_DEBUG")}
    ran = subprocess.run(
        [sys.executable, "-W", "default", "-c", code],
        env=given | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return ran.stderr.splitlines()


def test_lines_of_the_log_are_left_out_and_no_other():
    assert [line.split()[0] for line in said(LOGS)] == ["<string>:5:", "F0000", "later"]
    assert len(said(LOGS, ZOO_DEBUG="1")) == 6


@pytest.mark.slow
@pytest.mark.parametrize("first", ["import zoo", "import zoo; from zoo.export import to_onnx"])
def test_a_script_that_loads_a_model_prints_nothing_of_its_own(first):
    code = f"{first}\nmodel = zoo.load('logistic-cmb-running')\nmodel(model.folder and __import__('numpy').zeros((1, 215)))"
    assert said(code) == []


OTHERS = ("zoo.testing", "zoo.training.fit", "zoo.export.onnx", "zoo, keras", "zoo, tensorflow")


@pytest.mark.parametrize("first", ["zoo.families.base", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_whatever_is_imported_first_tensorflow_says_nothing(first):
    """Each of them brings TensorFlow by another way."""
    assert said(f"import {first}, sys; assert 'tensorflow' in sys.modules") == []


def test_a_level_of_the_users_own_holds():
    """From which level on lines are left out, those included that TensorFlow writes before it knows the level."""
    counts = {level: len(said(LOGS, TF_CPP_MIN_LOG_LEVEL=level)) for level in "0123"}
    assert counts == {"0": 6, "1": 4, "2": 4, "3": 3}
    assert any(line.startswith("I0000") for line in said("import zoo.families.base", TF_CPP_MIN_LOG_LEVEL="0"))


ANNOUNCED = """
import warnings, sys
import numpy as np
from zoo.cli.terminal import plain_warnings
with plain_warnings():
    {import_arviz}
    warnings.warn("mine", FutureWarning)
assert "arviz" in sys.modules
"""


@pytest.mark.parametrize(
    "import_arviz",
    [
        "from zoo.interpret.plots import corner_plot; corner_plot({'a': np.random.default_rng(0).normal(size=(99, 1))}, ['x'])",
        pytest.param("from zoo.interpret import to_arviz; to_arviz(np.zeros((9, 1)), ['x'])", marks=pytest.mark.slow),
    ],
)
def test_arviz_announces_nothing_and_other_warnings_are_given(import_arviz, tmp_path):
    """It announces its next version once a day, as a file in the user's cache tells it."""
    pytest.importorskip("arviz")
    code = ANNOUNCED.format(import_arviz=import_arviz)
    assert said(code, XDG_CACHE_HOME=str(tmp_path)) == ["warning: mine"]
