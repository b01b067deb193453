"""The JavaScript module in Node and the page in Chromium: released models, damage, bad input, the commands of the docs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from exported_folder import DAMAGES, MEAN, SET_DAMAGES, SPEC, cut, exported, save, swap
from scipy import stats
from set_graphs import JET_WORDS, REFUSALS, set_folder
from static_server import served

import zoo
from zoo.families.expression import Expression, values_and_slopes
from zoo.interpret.formulae.writing import Writer
from zoo.serving import Session

ROOT = Path(__file__).parents[1]
WEB = ROOT / "export" / "web"
DOCS = ROOT / "docs" / "browser.md"
PENDULUM = "ive-pendulum"
DIST = Path("onnxruntime-web") / "dist"
DEPLOYED = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""What docs/browser.md says that a page needs of onnxruntime-web."""


def run(*command: object, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)


def succeed(*command: object, **options) -> str:
    ran = run(*command, **options)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def installed() -> Path:
    """Folder with node_modules and npm's cache; the test skips without them or Node."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not (folder := os.environ.get("PHYSZOO_WEB")):
        pytest.skip("no onnxruntime-web: make web, or set PHYSZOO_WEB to a folder in which npm installed it")
    return Path(folder).resolve()


@pytest.fixture(scope="module")
def web(installed, tmp_path_factory) -> Path:
    """The folder export/web with onnxruntime-web installed, and the tests' scripts."""
    folder = tmp_path_factory.mktemp("web") / "web"
    shutil.copytree(WEB, folder)
    for script in Path(__file__).parent.glob("web_*.mjs"):
        shutil.copy(script, folder)
    (folder / "node_modules").symlink_to(installed / "node_modules")
    return folder


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory) -> Path:
    return exported(PENDULUM, tmp_path_factory.mktemp("exported") / PENDULUM)


@pytest.mark.parametrize("name", zoo.list_models())
def test_released_models_check_themselves(web, tmp_path, name):
    printed = succeed("node", web / "check.mjs", exported(name, tmp_path / name)).splitlines()
    spec = zoo.get_spec(name)
    outputs = [f"{endpoint} {tensor.name}" for endpoint, given in spec.endpoints.items() for tensor in given.outputs]
    version = json.loads((WEB / "package.json").read_text())["dependencies"]["onnxruntime-web"]
    assert printed[0] == f"{name}@{spec.revision}, onnxruntime-web {version}"
    assert [line.partition(":")[0] for line in printed[1:]] == outputs
    assert all(line.endswith(": ok") for line in printed[1:])


def test_example_answers_as_python_does(web, pendulum):
    printed = succeed("node", web / "example.mjs", pendulum)
    t = np.linspace(0, 5, 50)
    trajectory = np.stack([np.exp(-0.3 * t) * np.cos(frequency * t) for frequency in (2.5, 3.0)])
    expected = Session(PENDULUM).run({"trajectory": trajectory}, "encode")["mean"]
    found = [[float(number) for number in line.split()[3:]] for line in printed.splitlines()]
    np.testing.assert_allclose(found, expected, atol=6e-5)


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Path:
    return set_folder(tmp_path_factory.mktemp("sets") / "tiny-sets")


def test_sets_check_themselves(web, sets):
    *printed, multiplicity = succeed("node", web / "check.mjs", sets).splitlines()
    assert [line.partition(":")[0] for line in printed[1:]] == [
        *(f"pool {name}" for name in ("sums", "kept", "count", "soft")),
        "connect steps",
        "connect charge",
    ]
    assert multiplicity == "tag multiplicity: 4 rows, largest |difference| 0.0e+0 in one batch, 0.0e+0 row by row: ok"
    assert all(line.endswith(": ok") for line in printed[1:])


@pytest.mark.parametrize("family", ["deep-set", "edge-network"])
def test_released_families_of_sets_check_themselves(web, tmp_path, family):
    pytest.importorskip("tensorflow")
    pytest.importorskip("tf2onnx")
    from set_families import ENDPOINTS, write_folder

    folder = exported(write_folder(family, tmp_path / "released"), tmp_path / "exported")
    printed = succeed("node", web / "check.mjs", folder).splitlines()
    assert len(printed) == 1 + sum(len(endpoint.outputs) for endpoint in ENDPOINTS[family].values())
    assert all(line.endswith(": ok") for line in printed[1:])


UNREAD = "expected a folder that zoo export of this physzoo wrote, export or copy it again"


PENDULUM_DAMAGES = [
    *DAMAGES,
    (shutil.rmtree, f"{SPEC}: cannot be read .*: {UNREAD}"),
    (lambda folder: (folder / "encode.onnx").unlink(), "encode.onnx: cannot be read"),
    (cut("encode.onnx", 5000), "encode.onnx: onnxruntime-web cannot load this graph"),
    (cut("encode.onnx", 0), "encode.onnx: "),
    (swap, r"encode.onnx: expected the inputs trajectory float32 \(batch, 50\) .* found the inputs time float32"),
]
MESSAGES = [message for _, message in PENDULUM_DAMAGES + SET_DAMAGES]


@pytest.fixture(scope="module")
def said(web, pendulum, sets, tmp_path_factory) -> list[str]:
    """What the module says of every damaged folder, in one process."""
    damaged = tmp_path_factory.mktemp("damaged")
    folders = []
    for good, damages in ((pendulum, PENDULUM_DAMAGES), (sets, SET_DAMAGES)):
        for damage, _ in damages:
            folders.append(damaged / str(len(folders)))
            shutil.copytree(good, folders[-1])
            damage(folders[-1])
    return json.loads(succeed("node", web / "web_refusals.mjs", *folders))


@pytest.mark.parametrize("position", range(len(MESSAGES)), ids=[message[:40] for message in MESSAGES])
def test_damaged_folders_are_refused(said, position):
    assert re.search(MESSAGES[position], said[position]), said[position]
    assert not said[position].startswith("NOT OURS")


@pytest.mark.parametrize(
    ("damage", "message"),
    [(cut(SPEC, 0), f"^{SPEC}: not the whole spec"), (save(MEAN, np.zeros((16, 3), "f4")), "mean: .*OUTSIDE THE TOLERANCE")],
)
def test_check_of_a_damaged_folder_fails_without_a_stack(web, pendulum, tmp_path, damage, message):
    shutil.copytree(pendulum, tmp_path / PENDULUM)
    damage(tmp_path / PENDULUM)
    ran = run("node", web / "check.mjs", tmp_path / PENDULUM)
    assert ran.returncode == 1
    assert re.search(message, ran.stdout + ran.stderr), ran.stdout + ran.stderr
    assert "    at " not in ran.stderr


def test_bad_input_is_refused(web, pendulum, sets):
    lines = succeed("node", web / "web_checks.mjs", pendulum, sets).splitlines()
    printed = dict(line.split(": ", 1) for line in lines)
    names = "InputError endpoint predict: expected the inputs time trajectory, given"
    shape = "InputError input trajectory: expected shape (batch, 50), given"
    kind = "InputError input {}: expected {{ dims, data }} with a {} as data, for dtype {}"
    outside = (
        "InputError input {}: 1 values lie outside the trained range, the first at {}:"
        " expected {}, given {}; check the units, or extrapolate with {{ range: false }}"
    )
    infinite = "InputError input {}: 1 values are NaN or infinite, the first at {}; {{ finite: false }} lets them through"
    unread = f"IntegrityError {{}}: cannot be read ({{}}): {UNREAD}"
    assert printed == {
        "endpoint": "InputError ive-pendulum has no endpoint encod, it has decode encode predict reconstruct",
        "builtin": "InputError ive-pendulum has no endpoint constructor, it has decode encode predict reconstruct",
        "missing": f"{names} trajectory",
        "none": f"{names} none",
        "nothing": f"{names} none",
        "extra": f"{names} time trajectory x",
        "shape": f"{shape} (2, 49)",
        "unbatched": f"{shape} (50)",
        "scalar": f"{shape} ()",
        "negative": f"{shape} (-2, 50)",
        "fraction": f"{shape} (1.5, 50)",
        "values": "InputError input trajectory: expected as many values as shape (2, 50) has, given 99",
        "doubles": kind.format("trajectory", "Float32Array", "float32") + ", given float64",
        "array": kind.format("trajectory", "Float32Array", "float32"),
        "batches": "InputError inputs must have the same number of rows, given 3 of time and 2 of trajectory",
        "nan": infinite.format("trajectory", "(1, 3)"),
        "infinity": infinite.format("trajectory", "(0, 7)"),
        "nan let through": "(2, 1)",
        "range": outside.format("trajectory", "(1, 49)", "-1 to 1 m", 1.5),
        "range let through": "(2, 1)",
        "range, nan let through": outside.format("trajectory", "(1, 49)", "-1 to 1 m", -1.5),
        "edge of the range": "(2, 1)",
        "empty": "(0, 1)",
        "ort.Tensor": "(2, 1)",
        "at once": "each its own answer",
        "page": "1",
        **{
            case: f"InputError {message.format(finite='{ finite: false }', range='{ range: false }')}"
            for case, message in (REFUSALS | JET_WORDS).items()
        },
        "padding that is real, range let through": f"InputError {JET_WORDS['padding that is real']}",
        "few codes of one sign": "(13)",
        "codes of one sign, range let through": "(14)",
        "jets": "(29)",
        "jets that reach far enough": "(30)",
        "few jets that do not reach far": "(29)",
        "jets without particles": "(40)",
        "no jets": "(0)",
        "jets, range let through": "(1)",
        "jets, nan let through": "(1)",
        "sets": "(1, 3) 3 0 0.75, (1) 3, (1, 3) 1 1 1",
        "padded": "(1, 3) 2 0 0.5, (1) 2, (1, 3) 1 1 1",
        "mask of 2": "InputError input mask: expected 0 and 1, given 2 at (0, 1)",
        "mask of float32": kind.format("mask", "Uint8Array", "bool") + ", given float32",
        "no sets": "(0, 3), (0), (0, 3)",
        "graph": "(1, 2, 2) 1.000088900582341e-12 0 1 0, (1) -1",
        "fraction, range let through": "(1, 2, 2) 1.000088900582341e-12 -0.5 1 0.5, (1) -1",
        "answer that guards, range let through": "(1, 2, 2) -998.999999999999 0 1000 0, (1) -1",
        "answer that guards, nan let through": "(1, 2, 2) -Infinity 0 Infinity 0, (1) -1",
        "edges of int32": kind.format("edges", "BigInt64Array", "int64") + ", given int32",
        "unreachable": unread.format(SPEC, "fetch failed"),
        "no folder chosen": unread.format(SPEC, "no such file"),
        "chosen": unread.format("predict.onnx", "no such file"),
        "old runtime": "ZooError expected onnxruntime-web 1.22 or newer, which tells what a graph takes",
        "released": "InputError ive-pendulum has no endpoint encode, it has none",
    }


@pytest.fixture(scope="module")
def site(installed, pendulum, tmp_path_factory) -> Path:
    """What one would put on a web server: the page, no more of onnxruntime-web than it needs, and a model."""
    folder = tmp_path_factory.mktemp("site") / "site"
    shutil.copytree(WEB, folder)
    (folder / "node_modules" / DIST).mkdir(parents=True)
    for file in DEPLOYED:
        shutil.copy(installed / "node_modules" / DIST / file, folder / "node_modules" / DIST)
    shutil.copytree(pendulum, folder / PENDULUM)
    return folder


@pytest.fixture(scope="module")
def address(site) -> Iterator[str]:
    with served(site) as served_at:
        yield served_at


def browse(web: Path, *arguments: object) -> dict:
    """What web_page.mjs says; the test skips without a Chromium."""
    if not Path(os.environ.get("CHROMIUM", "")).is_file():
        pytest.skip("no Chromium: make web, or set CHROMIUM to one")
    return json.loads(succeed("node", web / "web_page.mjs", *arguments))


def check_page(said: dict, name: str, address: str) -> None:
    spec = zoo.get_spec(name)
    outputs = [tensor.name for endpoint in spec.endpoints.values() for tensor in endpoint.outputs]
    assert said["status"].startswith(f"{name}@{spec.revision}, onnxruntime-web ")
    assert said["status"].endswith(f": {len(outputs)} of {len(outputs)} outputs as on the day of release")
    assert said["endpoints"] == list(spec.endpoints)
    assert [cells[1] for cells in said["rows"] if cells[0] == "out"] == outputs
    assert all(cells[-1].endswith(": ok") for cells in said["rows"] if cells[0] == "out")
    assert said["bad"] == said["complaints"] == []
    assert said["origins"] in ([address], [address, "null"])  # a file that was chosen has none


@pytest.mark.parametrize("name", [PENDULUM, "gbt-halo-mass", "nsf-sbi-slcp"])
def test_chosen_folder_in_chromium(web, address, tmp_path, name):
    check_page(browse(web, address, exported(name, tmp_path / name)), name, address)


def test_folder_of_sets_in_chromium(web, address, sets):
    said = browse(web, address, sets)
    assert said["status"].endswith(": 7 of 7 outputs as on the day of release")
    shapes = {cells[1]: cells[2] for cells in said["rows"]}
    assert shapes["particles"] == "batch × particle 1–8 × 3, masked by mask"  # noqa: RUF001
    assert shapes["edges"] == "batch × edge 1–12 × 2, int64"  # noqa: RUF001
    assert said["bad"] == said["complaints"] == []


def test_folder_beside_the_page_in_chromium(web, address):
    said = browse(web, f"{address}/?folder={PENDULUM}")
    check_page(said, PENDULUM, address)
    assert said["rows"][0] == ["in", "trajectory", "batch × 50", "m", "-1 to 1", ""]  # noqa: RUF001


def test_page_says_what_is_wrong(web, address, pendulum, tmp_path):
    assert browse(web, f"{address}/?folder=nowhere")["bad"] == [f"{SPEC}: cannot be read (HTTP 404): {UNREAD}"]
    said = browse(web, f"{address}/?folder=http://localhost:{address.rpartition(':')[2]}/{PENDULUM}")
    assert said["bad"] == [f"{SPEC}: cannot be read (Failed to fetch): {UNREAD}"]
    assert "Content Security Policy" in said["complaints"][0]
    folder = tmp_path / PENDULUM
    shutil.copytree(pendulum, folder)
    save(MEAN, np.zeros((16, 3), "f4"))(folder)
    status, cell = browse(web, address, folder)["bad"]
    assert status.endswith(": 4 of 5 outputs as on the day of release")
    assert cell.endswith("OUTSIDE THE TOLERANCE")


@pytest.fixture(scope="module")
def maps(tmp_path_factory) -> Path:
    """An exported small model that draws maps as diffusion-maps does, whose weights are random."""
    keras = pytest.importorskip("keras")
    pytest.importorskip("tf2onnx")
    from zoo.model.registry import get_family
    from zoo.model.spec import Data, ModelSpec
    from zoo.training.recipe import load_recipe
    from zoo.workflows.folder import write_model_folder

    keras.utils.set_random_seed(0)
    model = get_family("map-diffusion")(parameters=2, channels=[8, 8], told=4, steps=2)
    rng = np.random.default_rng(0)
    low, high = np.array([[0.1, 0.6], [0.5, 1.0]])
    theta = rng.uniform(low, high, (8, 2)).astype(np.float32)
    overdensity = np.expm1(rng.normal(0, 0.3, (8, 64, 64))).astype(np.float32)
    model.adapt({"theta": theta, "overdensity": overdensity}, np.zeros((8, 1), np.float32))
    for weight in model.trainable_weights:  # of an untrained network the last convolution is zero
        weight.assign(weight + 0.1 * rng.normal(size=weight.shape))
    recipe = load_recipe("diffusion-maps")
    model.spec = ModelSpec(
        name="tiny-maps",
        family="map-diffusion",
        config=model.config,
        task="test",
        summary="A network made up for tests",
        endpoints={"sample": recipe.endpoints["sample"]},
        data=Data(source="numbers", description="random", simulator="numpy", seed=0, rows={}),
        metrics=[],
        files=[],
        tolerance=recipe.tolerance,
        physzoo_version="0.1.0",
    )
    folder = tmp_path_factory.mktemp("maps")
    write_model_folder(model, model.spec, folder / "released", model.example({"theta": theta, "overdensity": overdensity}, rng))
    return exported(folder / "released", folder / "tiny-maps")


def test_maps_are_painted_as_python_draws_them(web, maps):
    found = json.loads(succeed("node", web / "web_maps.mjs", maps))
    side, noise = found["side"], np.array(found["noise"], np.float32)
    assert side == 64
    assert stats.kstest(noise, "norm").pvalue > 0.01
    answer = Session(maps.parent / "released").run(
        {"z": noise.reshape(1, side, side), "theta": np.array([[0.3, 0.8]], np.float32)}, "sample"
    )
    density = 1 + answer["overdensity"][0].astype(float).ravel()
    np.testing.assert_allclose(found["pixels"], density, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose([found["least"], found["most"]], np.quantile(density, [0.01, 0.99]), rtol=0.02)
    painted = np.array(found["painted"]).reshape(-1, 4)
    assert (painted[:, 3] == 255).all()
    assert painted[density.argmin(), :3].tolist() == [0, 0, 4]
    assert painted[density.argmax(), :3].tolist() == [252, 255, 164]
    brightness = painted[:, :3].sum(axis=1)
    assert stats.spearmanr(brightness, density)[0] > 0.99


def test_page_of_maps_in_chromium(web, site, address, maps):
    shutil.copytree(maps, site / "tiny-maps", dirs_exist_ok=True)
    if not Path(os.environ.get("CHROMIUM", "")).is_file():
        pytest.skip("no Chromium: make web, or set CHROMIUM to one")
    said = json.loads(succeed("node", web / "web_maps_page.mjs", f"{address}/maps.html?folder=tiny-maps"))
    assert said["complaints"] == []
    first, other, another = said["shown"]
    assert first["sliders"] == ["omega_m 0.300", "sigma8 0.800"]
    assert other["sliders"] == ["omega_m 0.450", "sigma8 0.800"]
    assert re.fullmatch(r"tiny-maps@1: painted in [\d.]+ s", first["status"])
    assert re.match(r"density over its mean from [\d.]+ \(dark\) to [\d.]+ \(bright\), .*; 64 by 64 cells", first["legend"])
    assert "cells of 1.5625 Mpc/h" in first["legend"]
    assert first["side"] == 64
    assert first["painted"] != other["painted"] != another["painted"]
    refused = json.loads(succeed("node", web / "web_maps_page.mjs", f"{address}/maps.html?folder={PENDULUM}"))
    assert refused["shown"][0]["status"] == f"{PENDULUM} has no endpoint sample, it has decode encode predict reconstruct"
    assert refused["complaints"] == []


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)


def test_page_shows_lines_that_run():
    sources = (WEB / "example.mjs", Path(__file__).with_name("web_checks.mjs"))
    run_here = {line.strip() for source in sources for line in source.read_text().splitlines()}
    shown = [line for block in blocks("js") for line in block.splitlines()]
    assert shown
    assert [line for line in shown if line not in run_here] == []


def test_page_of_the_docs_in_chromium(web, address, site):
    [html] = blocks("html")
    (site / "own.html").write_text(html)
    for file in DEPLOYED:
        shutil.copy(site / "node_modules" / DIST / file, site)
    said = browse(web, f"{address}/own.html")
    assert said["title"] == "as on the day of release"


def test_commands_of_the_docs(installed, web, tmp_path):
    pytest.importorskip("tensorflow")
    pytest.importorskip("tf2onnx")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    cached = {"npm_config_cache": str(installed / "cache"), "npm_config_offline": "true"}
    environment = os.environ | cached | {"PATH": path, "PYTHONUNBUFFERED": "1"}
    *commands, serve = "\n".join(blocks("sh")).strip().splitlines()
    printed = succeed("bash", "-euo", "pipefail", "-c", "\n".join(commands), cwd=tmp_path, env=environment)
    assert "encode mean: 16 rows" in printed
    assert "pendulum 1: latents" in printed
    *command, port = serve.split()
    with subprocess.Popen([*command, "0"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            bound = re.search(r"port (\d+)", server.stdout.readline())[1]
            addresses = [url.replace(port, bound) for url in re.findall(r"http://127\.0\.0\.1:\d+/\S*\w", DOCS.read_text())]
            check_page(browse(web, addresses[0]), PENDULUM, f"http://127.0.0.1:{bound}")
        finally:
            server.terminate()


def test_formulae_are_written_in_javascript_as_in_python(web, tmp_path):
    """The beam search follows the same skeletons, and fits reach the constants that made the points."""
    name = "transformer-formulae"
    writer = Writer(Session(name))
    cases = []
    for text in ("2.5*x1*x2 + 0.3", "exp(-0.7*x1)*3 + x2", "sin(1.3*x1)/x2", "x1**2 + sqrt(x2)"):
        law = Expression.parsed(text)
        x = np.random.default_rng(len(cases)).uniform(1, 3, (40, 2))
        points = np.column_stack([x, np.zeros((40, 2)), law(x)]).astype(np.float32)
        arrays = {"x": x, "y": law(x), "points": points, "constants": law.constants}
        case = {key: array.tolist() for key, array in arrays.items()}
        cases.append(case | {"variables": 2, "skeleton": law.tokens})
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    found = json.loads(succeed("node", web / "web_formulae.mjs", exported(name, tmp_path / name), tmp_path / "cases.json"))
    for case, answer in zip(cases, found["answers"], strict=True):
        x, law = np.array(case["x"]), Expression(tuple(case["skeleton"]), np.array(case["constants"]))
        expected = writer.written(np.array(case["points"], np.float32), 2, 8)
        assert [tuple(one) for one in answer["written"]] == expected
        values, slopes = values_and_slopes(law.tokens, x, law.constants)
        np.testing.assert_allclose(answer["values"], values, rtol=1e-12)
        np.testing.assert_allclose(np.array(answer["slopes"]).T, slopes, rtol=1e-10, atol=1e-12)
        assert answer["error"] < 1e-9
        np.testing.assert_allclose(Expression.parsed(answer["text"])(x), law(x), rtol=1e-9)
        assert answer["r2"] > 0.9
    few, constant, large = found["refused"]
    assert few == "InputError: expected at least 10 points, all of as many variables, and a value of each"
    assert constant == "InputError: x2: expected numbers that differ, given 1"
    assert large == "x1: expected a largest size of 0.05 to 50, given 20000000000: use another unit"
