"""Blocks of docs/fields.md run as they stand, and its further test sets share no field with the training's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from zoo.data.dataset import groups
from zoo.data.fields.dataset import FieldMaps

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "fields.md").read_text()
(SETS,) = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))


def test_blocks_run(capsys, tmp_path, monkeypatch, unverified):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "fields.md", "exec"), names)
    said = ["(24, 16, 16) (24, 2)", "(24, 4) (24, 3) (24, 16) (24, 3)", "(32, 32, 32)", "(2, 64, 64)", "(1, 2, 64, 64)"]
    assert capsys.readouterr().out.splitlines()[-5:] == said


def seeds(data: FieldMaps, *splits: str) -> set[int]:
    """Of the initial fields of some splits."""
    return {data.config.field_seed(int(number)) for split in splits for number in groups(data.sizes, split)}


@pytest.mark.parametrize("name", SETS)
def test_no_further_test_set_shares_a_field_with_the_training(name):
    ours, other = FieldMaps(), FieldMaps(**SETS[name])
    assert len(seeds(other, "test")) == other.sizes["test"]
    assert not seeds(other, "test") & seeds(ours, "train", "validation")
    assert (seeds(other, "test") <= seeds(ours, "test")) == (name != "wider")
    numbers = groups(other.sizes, "test")
    same = [(other.config.design()[number] == ours.config.design()).all(axis=1).any() for number in numbers]
    assert all(same) if name != "wider" else not any(same)


@pytest.mark.parametrize("name", SETS)
def test_further_test_sets_have_maps_of_the_same_cells_and_slabs(name, tmp_path):
    """Whole sets by their settings, and one an eighth as large along each side by its maps."""
    full, usual = FieldMaps(**SETS[name]), FieldMaps()
    assert full.config.box / full.config.side == usual.config.box / usual.config.side
    assert full.config.box / full.slabs == usual.config.box / usual.slabs == 25

    design = {
        key: full.config.model_dump()[key] // 8 for key in ("particles", "cells", "box") if key in full.config.model_dump()
    }
    tiny = SETS[name]["design"] | design | {"steps": 3, "simulations": 5}
    data = FieldMaps(slabs=full.slabs, train=1, validation=1, test=3, design=tiny, path=str(tmp_path))
    rows = data.rows("test")
    side = full.config.side // 8
    assert rows.inputs["overdensity"].shape == (3 * 3 * full.slabs, side, side)
    assert set(rows.group) == {2, 3, 4}
    np.testing.assert_allclose(rows.inputs["overdensity"].reshape(3, 3, -1).mean(axis=2), 0, atol=1e-5)


def percent(share: float) -> str:
    return f"{share:.0%}"


def test_which_cells_say_so():
    page = " ".join(PAGE.split())
    found = json.loads((ROOT / "benchmarks" / "results" / "fields_inside.json").read_text(encoding="utf-8"))
    left = {way: {name: percent(share) for name, share in ways.items()} for way, ways in found["left"].items()}
    whole, voids, most = (left[way] for way in ("nothing", "emptiest half", "emptiest 90%"))
    assert f"explains {voids['omega_m']} of the variance of Omega_m in place of {whole['omega_m']}" in page
    assert f"nine tenths are, {most['omega_m']}; of sigma_8, {voids['sigma8']} and {most['sigma8']} in place of" in page
    assert f"in place of {whole['sigma8']}." in page
    first, tenth = left["densest 1%"], left["densest 10%"]
    assert f"hundredth made alike {first['omega_m']} and {first['sigma8']} are left" in page
    assert f"densest tenth {tenth['omega_m']} and {tenth['sigma8']}." in page
    known = {name: percent(share) for name, share in found["known to the last layer"].items()}
    assert f"logarithm of the density ({known['variance of ln density']} of it" in page
    assert f"a fifth of the mean ({known['share of cells below a fifth']})" in page
    assert f"1 h/Mpc ({known['power, 1 h/Mpc']}) and the peaks ({known['peaks above 3.8']})" in page
    assert found["known to the last layer"]["triangles, 0.5 h/Mpc"] < 0.05
    told = {name: {way: value for way, (value, _) in ways.items()} for name, ways in found["information"].items()}
    both = told.pop("both answers")
    most = max(ways["omega_m"] for ways in told.values())
    assert f"shares more than {most:.2f} nat with it, where the two answers of the network share {both['omega_m']:.2f}." in page
    variance = told["variance of ln density"]["sigma8"]
    assert f"of the logarithm has {variance:.2f} nat, the answers {both['sigma8']:.2f}" in page
    assert max(error for ways in found["information"].values() for _, error in ways.values()) < 0.035
    first, *_, last = found["gradient"]["omega_m"]
    assert f"It is {first} times its mean on the emptiest half" in page
    assert round(last, 1) == 0.1
    kept = found["rank correlation of the gradient with that of random weights"]["stage_0"]
    assert f"a rank correlation of {kept:.2f}" in page


def test_at_which_scales():
    found = json.loads((ROOT / "benchmarks" / "results" / "fields_scales.json").read_text(encoding="utf-8"))["fields"]
    scales = ("2 Mpc/h", "4 Mpc/h", "8 Mpc/h")
    for name, what in (("cnn2d-cosmology", "map"), ("cnn3d-cosmology", "cube")):
        for way, label in (("network", "network"), ("summaries", "all summaries"), ("power", "power spectrum")):
            rows = [found[name][scale][way] for scale in scales]
            cells = [f"{row['omega_m']['error']:.3f}, {row['sigma8']['error']:.3f}" for row in rows]
            assert f"| {what}, {label} | {' | '.join(cells)} |" in PAGE

    def advantage(name: str, scale: str) -> str:
        error = {way: row["omega_m"]["error"] for way, row in found[name][scale].items()}
        return percent(1 - error["network"] / error["summaries"])

    first, second, third = ([advantage(name, scale) for name in found] for scale in scales)
    page, measured = " ".join(PAGE.split()), (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert f"{first[0]} of a map and {first[1]} of a cube at 2 Mpc/h, {second[0]} and {second[1]} at 4" in page
    assert f"{first[0]} and {first[1]} below theirs at 2 Mpc/h, {second[0]} and {second[1]} at 4" in measured
    assert f"but for {third[0]} of maps" in measured
    assert third[1].startswith("-")


def test_another_simulator():
    found = json.loads((ROOT / "benchmarks" / "results" / "fields_adaptation.json").read_text(encoding="utf-8"))["fields"]
    measured, page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8"), " ".join(PAGE.split())
    card = " ".join((ROOT / "model_cards" / "cnn2d-cosmology" / "README.md").read_text(encoding="utf-8").split())
    labels = {"finer": "more particles", "direct-forces": "direct forces"}
    shifts = {}
    for network, others in found.items():
        for other, label in labels.items():
            rows = [others[other]["before"]["omega_m"], *(others[other]["weights"][way]["omega_m"] for way in ("10", "100"))]
            cells = [f"{row['shift'][0]:+.3f}, {row['error'][0]:.3f}" for row in rows]
            assert f"| {network}, {label} | {' | '.join(cells)} |" in PAGE
            shifts[network, other] = [f"{-row['shift'][0]:.3f}" for row in rows]
    (finer, _, _), (direct, _, _) = shifts["smoothed", "finer"], shifts["smoothed", "direct-forces"]
    assert f"shifted by {finer} and {direct} in Omega_m" in measured
    assert f"lowers its Omega_m by {finer} (finer) and {direct} (direct forces)" in card
    before, after = ([shifts["unsmoothed", other][i] for other in labels] for i in (0, 2))
    assert f"without smoothing by {before[0]} and {before[1]}, and by {after[0]} and {after[1]} after it" in measured

    def deviations(network: str, way: str) -> list[str]:
        rows = [found[network][other] for other in labels]
        rows = [row["before"] if way == "before" else row["weights"][way] for row in rows]
        return [f"{-row['omega_m']['shift in deviations'][0]:.1f}" for row in rows]

    first, second = deviations("smoothed", "before")
    assert f"off by {first} of its deviation with more particles and {second} with direct forces" in page
    first, second = deviations("unsmoothed", "before")
    assert f"without smoothing is off by {first} and {second}" in page
    first, second = deviations("unsmoothed", "100")
    assert f"shift falls to {first} and {second} deviations" in page
    narrow, whole = (found["smoothed"]["finer"][way]["omega_m"]["error"][0] for way in ("narrow", "before"))
    assert f"errors of {narrow:.3f} in place of {whole:.3f}" in page


def test_what_moving_particles_takes():
    ways = json.loads((ROOT / "benchmarks" / "results" / "displacements.json").read_text(encoding="utf-8"))["ways"]
    rows = re.findall(r"^\| (?:network|second|mesh|the sim).* \| ([\d.]+) s \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    order = ("network, Keras", "network, ONNX", "2LPT", "3 steps", "5 steps", "10 steps", "simulation")
    assert [tuple(map(float, row)) for row in rows] == [
        (round(ways[way]["median_us"] / 1e6, 2), ways[way]["correlation"], round(ways[way]["power"], 3)) for way in order
    ]


def test_what_fills_of_holes_are_worth():
    found = json.loads((ROOT / "benchmarks" / "results" / "fields_filling.json").read_text(encoding="utf-8"))
    ours, gaussian = found["ways"]["diffusion-maps"], found["ways"]["Gaussian"]

    def cell(one: dict, digits: int) -> str:
        return f"{one['value']:.{digits}f} ({one['interval'][0]:.{digits}f} to {one['interval'][1]:.{digits}f})"

    for name, digits in (
        ("error, cells", 3),
        ("error, all cells", 3),
        ("error over expected, cells", 2),
        ("error over expected, all cells", 2),
        ("cells below a fifth", 3),
        ("step over the true one", 2),
    ):
        assert f"| {cell(ours[name], digits)} | {cell(gaussian[name], digits)} |" in PAGE
    assert f"a fifth of the mean, {ours['true cells below a fifth']['value']:.3f} in truth" in PAGE
    value, (low, high) = (found["energy score, difference"][key] for key in ("value", "interval"))
    page = " ".join(PAGE.split())
    assert f"is {-value:.2f} lower of {gaussian['energy score']['value']:.1f} ({-low:.2f} lower to {high:.2f} higher)" in page
    more = gaussian["cells below a fifth"]["value"] / ours["true cells below a fifth"]["value"]
    assert f"they have {more:.1f} times as many empty cells" in page
    card = (ROOT / "model_cards" / "diffusion-maps" / "README.md").read_text(encoding="utf-8")
    one = ours["error over expected, cells"]
    assert f"{one['value']:.2f} times ({one['interval'][0]:.2f} to {one['interval'][1]:.2f})" in " ".join(card.split())
    assert (found["maps"], found["boxes"]) == (32, 16)
