"""benchmarks/gpu_serving.py where there is no GPU: runs on the CPU, says what it left out, and counts no wrong answer."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu_serving.py"


def test_runs_on_the_cpu_without_tensorflow(tmp_path: Path) -> None:
    program = f"""
import runpy, sys
sys.modules["tensorflow"] = sys.modules["keras"] = None  # an import of either fails
sys.argv = ["gpu_serving.py", "mlp-cmb-feature", "--batches", "1,8", "--rounds", "1", "--seconds", "0.001", "--out", "out.json"]
runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, capture_output=True)
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["results"].keys() == {"mlp-cmb-feature/predict/float32", "mlp-cmb-feature/predict/float16"}
    for batches in content["results"].values():
        assert batches.keys() == {"1", "8"}
        assert all({"CPU run", "CPU binding"} <= found.keys() for found in batches.values())
    assert "TensorrtExecutionProvider" in content["skipped"]
    assert content["versions"]["numpy"] == np.__version__


def test_a_wrong_answer_is_no_result() -> None:
    described = importlib.util.spec_from_file_location("gpu_serving", SCRIPT)
    assert described is not None
    assert described.loader is not None
    script = importlib.util.module_from_spec(described)
    sys.modules["gpu_serving"] = script  # dataclasses look their module up
    described.loader.exec_module(script)
    case = script.cases(["mlp-cmb-feature"], {})[0]
    right = {name: np.resize(array, (20, *array.shape[1:])) for name, array in case.expected().items()}
    assert script.fault(case, right, 20) is None
    wrong = {name: array.copy() for name, array in right.items()}
    wrong["probability"][19] += 1e-3
    assert "probability differs by up to 0.001" in script.fault(case, wrong, 20)
    wrong["probability"][19] = np.nan
    assert script.fault(case, wrong, 20) is not None
