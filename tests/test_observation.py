"""Observations: what a data source reads of them, one row of a file, and what reading needs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import zoo
from zoo.data import observation as module
from zoo.data.observation import Observation, Observes, observes, read_observation, reader_of
from zoo.errors import InputError
from zoo.interpret.observed import answer_observation
from zoo.model.axes import Axis, Coordinates
from zoo.model.spec import Data, Endpoint, ModelSpec, Tensor

GROUPS = {"low": (0, 1), "high": (1, 3)}
BANDS = Axis(name="wavenumber", size=3, coordinates=Coordinates(values=[1, 2, 3], unit="h/Mpc"), groups=GROUPS)
BLOCKED = """
import sys

for name in {blocked}:
    sys.modules[name] = None  # as if it were not installed
sys.argv = ["zoo", *{arguments}]
from zoo.cli import app
app(standalone_mode=False)
"""


def spec_of(source: str = "elsewhere", inputs: tuple[str, ...] = ("power",)) -> ModelSpec:
    tensors = [Tensor(name=name, axes=[BANDS], unit="(Mpc/h)^3", description="") for name in inputs]
    answer = Tensor(name="score", axes=[Axis(name="class", size=1, labels=["cold"])], unit="1", description="")
    return ModelSpec(
        name="tiny",
        family="mlp",
        config={},
        task="classification",
        summary="",
        endpoints={"predict": Endpoint(description="", inputs=tensors, outputs=[answer])},
        data=Data(source=source, description="", simulator="", seed=0, rows={}),
        metrics=[],
        files=[],
        physzoo_version="0",
    )


@pytest.mark.parametrize("shape", [(3,), (1, 3)])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_one_row_of_a_file(tmp_path, shape, suffix):
    path, row = tmp_path / f"mine{suffix}", np.array([1.0, 2.0, 3.0]).reshape(shape)
    np.save(path, row) if suffix == ".npy" else np.savez(path, power=row)
    found = read_observation(spec_of(), path)
    np.testing.assert_array_equal(found.inputs["power"], [[1, 2, 3]])
    assert (found.label, found.description) == ("mine", str(path))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3)), r"of shape \(3,\), given float64 of shape \(2, 3\); several rows are given as data='.*row\.npy'$"),
        (np.array(["a", "b", "c"]), "given <U1"),
        (np.zeros((1, 1, 3)), r"given float64 of shape \(1, 1, 3\)$"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, array, message):
    np.save(tmp_path / "row.npy", array)
    with pytest.raises(InputError, match=message):
        read_observation(spec_of(), tmp_path / "row.npy")


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "row.npy").write_text("1 2")
    with pytest.raises(InputError, match="is not a"):
        read_observation(spec_of(), tmp_path / "row.npy")
    np.savez(tmp_path / "row.npz", y=np.zeros(3))
    with pytest.raises(InputError, match="expected an array named power, found y"):
        read_observation(spec_of(), tmp_path / "row.npz")


def test_a_source_without_a_reader_says_what_it_takes(tmp_path):
    with pytest.raises(InputError, match=r"'pendulum' has no reader of observations: expected a \.npy of one row"):
        read_observation(spec_of("pendulum"), tmp_path)


def test_an_endpoint_that_takes_more_is_refused():
    observation = Observation({"power": np.zeros((1, 3))}, "a", "a survey")
    assert list(observation.of(spec_of().endpoint("predict"))) == ["power"]
    with pytest.raises(InputError, match="the endpoint also takes mask, and only power was observed"):
        observation.of(spec_of(inputs=("power", "mask")).endpoint("predict"))


def test_a_reader_is_registered_by_the_name_of_its_source(tmp_path, monkeypatch):
    monkeypatch.setattr(module.READERS, "_found", {})

    @observes("mine")
    class Survey:
        def read_observation(self, path):
            return Observation({"power": np.loadtxt(path)[None]}, "survey", "a survey")

    (tmp_path / "survey.txt").write_text("1 2 3")
    assert isinstance(reader_of("mine"), Observes)
    np.testing.assert_array_equal(read_observation(spec_of("mine"), tmp_path / "survey.txt").inputs["power"], [[1, 2, 3]])
    assert reader_of("pendulum") is None


def test_an_answer_is_placed_among_simulated_rows_and_beside_the_reference():
    simulated = module.Comparison("skies without it", {"power": np.arange(30.0).reshape(10, 3)})
    observation = Observation(
        inputs={"power": np.array([[6.0, 7.0, 8.0]])},
        label="a",
        description="a survey",
        error={"power": np.full((1, 3), 2.0)},
        reference={"power": np.array([[4.0, 7.0, 4.0]])},
        reference_name="a fit",
        compare=lambda: simulated,
    )
    found = answer_observation(spec_of(), lambda inputs: {"score": inputs["power"][:, :1]}, observation, "predict")
    assert found.answers == {"score": [[6.0]]}
    (placed,) = found.placements
    assert (placed.answer, placed.value, placed.fraction, placed.rows) == ("score", 6.0, 0.8, 10)
    assert {group: (one.chi2, one.elements) for group, one in found.agreement.items()} == {"low": (1.0, 1), "high": (4.0, 2)}
    assert found.text().splitlines() == [
        "  skies without it with at least this score  80.0% of 10",
        "  chi2 / elements against a fit  low 1.0 / 1, high 4.0 / 2",
    ]


HEAVY = {"keras", "tensorflow", "scipy", "sklearn", "camb"}


@pytest.mark.parametrize(
    ("arguments", "blocked"),
    [
        (["predict", "mlp-cmb-feature"], {*HEAVY, "matplotlib", "corner"}),
        (["infer", "nsf-cmb-posterior", "--draws", "200"], HEAVY),
        (["infer", "nsf-cmb-posterior", "--draws", "200"], {*HEAVY, "matplotlib", "corner"}),
    ],
)
def test_an_observation_needs_onnx_runtime_alone(planck_folder, tmp_path, arguments, blocked):
    told = [*arguments, "--observation", str(planck_folder), "--out", str(tmp_path)]
    code = BLOCKED.format(blocked=blocked, arguments=told)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert "Planck's binned spectra" in " ".join(found.stdout.replace("│", " ").split())
    assert list(tmp_path.glob("*.npz"))


def test_released_models_know_where_their_observations_come_from():
    assert isinstance(reader_of(zoo.get_spec("mlp-cmb-feature").data.source), Observes)
    assert isinstance(reader_of(zoo.get_spec("nsf-cmb-posterior").data.source), Observes)
