"""The JavaScript module in Node and the page in Chromium: released models, damage, bad input, the commands of the docs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from exported_folder import cut, exported, replace, save

import zoo
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


def swap(folder: Path) -> None:
    shutil.copyfile(folder / "predict.onnx", folder / "encode.onnx")


SPEC = "cpp/model.txt"
MEAN = "cpp/encode/out/mean.npy"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "cpp/model.txt: cannot be read .*: expected a folder that zoo export wrote"),
        (cut(SPEC, 0), "line 1: expected 'physzoo 1'"),
        (cut(SPEC, 200), "expected the line 'end'"),
        (replace(SPEC, b"end\n", b""), "expected the line 'end'"),
        (replace(SPEC, b"physzoo 1", b"physzoo 2"), "line 1: expected 'physzoo 1'"),
        (replace(SPEC, b"model ive-pendulum 1", b"model"), "line 2: expected a word"),
        (replace(SPEC, b"tolerance ", b"tolerance 1 "), "line 3: expected two numbers"),
        (replace(SPEC, b"low -1.0", b"low abc"), "expected numbers"),
        (replace(SPEC, b"low -1.0", b"low -1.0 2.0"), "expected the range of trajectory"),
        (replace(SPEC, b"trajectory 50", b"trajectory -50"), "expected the shape of trajectory"),
        (replace(SPEC, b"trajectory 50", b"trajectory 50 999999999"), "expected the shape of trajectory"),
        (replace(SPEC, b"endpoint predict\n", b""), "line 4: expected an endpoint"),
        (replace(SPEC, b"endpoint predict\n", b"endpoint predict\nunit m\n"), "line 5: expected a tensor"),
        (replace(SPEC, b"endpoint predict", b"endpoint ../predict"), "line 4: expected a name"),
        (replace(SPEC, b"input trajectory", b"input __proto__"), "line 5: expected a name"),
        (replace(SPEC, b"output displacement 1\nunit m\n", b""), "expected inputs and outputs of predict"),
        (replace(SPEC, b"unit", b"constructor"), "expected a known word"),
        (replace(SPEC, b"trajectory 50", b"trajectory 51"), r"trajectory \(batch, 51\) .* trajectory \(batch, 50\)"),
        (replace(SPEC, b"input time", b"input clock"), r"expected the inputs clock \(batch, 1\)"),
        (lambda folder: (folder / "encode.onnx").unlink(), "encode.onnx: cannot be read"),
        (cut("encode.onnx", 5000), "encode.onnx: onnxruntime-web cannot load this graph"),
        (cut("encode.onnx", 0), "encode.onnx: "),
        (swap, r"encode.onnx: expected the inputs trajectory \(batch, 50\) .* found the inputs time \(batch, 1\) trajectory"),
        (cut(MEAN, 0), "mean.npy: expected a .npy file"),
        (cut(MEAN, 100), r"mean.npy: expected rows of shape \(batch, 3\), found \(16, 3\) in 0 bytes"),
        (cut(MEAN, 300), r"mean.npy: expected rows of shape \(batch, 3\), found \(16, 3\) in 172 bytes"),
        (save(MEAN, np.zeros((16, 3))), "mean.npy: expected float32 in C order"),
        (save(MEAN, np.asfortranarray(np.zeros((16, 3), "f4"))), "mean.npy: expected float32 in C order"),
        (save(MEAN, np.zeros((15, 3), "f4")), "mean.npy: expected 16 rows"),
        (save(MEAN, np.zeros((0, 3), "f4")), "mean.npy: expected rows"),
        (save(MEAN, np.zeros((16, 3), "f4")), "encode mean: .*OUTSIDE THE TOLERANCE"),
        (save(MEAN, np.full((16, 3), np.nan, "f4")), "encode mean: .* Infinity .*OUTSIDE THE TOLERANCE"),
        (lambda folder: (folder / MEAN).unlink(), "mean.npy: cannot be read"),
    ],
)
def test_damaged_folders_are_refused(web, pendulum, tmp_path, damage, message):
    folder = tmp_path / PENDULUM
    shutil.copytree(pendulum, folder)
    damage(folder)
    ran = run("node", web / "check.mjs", folder)
    assert ran.returncode == 1
    assert re.search(message, ran.stdout + ran.stderr), ran.stdout + ran.stderr
    assert "    at " not in ran.stderr  # a message, no stack


def test_bad_input_is_refused(web, pendulum):
    printed = dict(line.split(": ", 1) for line in succeed("node", web / "web_checks.mjs", pendulum).splitlines())
    names = "InputError endpoint predict: expected the inputs time trajectory, given"
    shape = "InputError input trajectory: expected shape (batch, 50), given"
    kind = "InputError input trajectory: expected { dims, data } with a Float32Array as data"
    outside = (
        "InputError input trajectory: 1 values lie outside the trained range, the first at (1, 49):"
        " expected -1 to 1 m, given {}; check the units, or extrapolate with {{ range: false }}"
    )
    infinite = (
        "InputError input trajectory: 1 values are NaN or infinite, the first at {}; {{ finite: false }} lets them through"
    )
    unread = "IntegrityError {}: cannot be read ({}): expected a folder that zoo export wrote, copy it again"
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
        "doubles": kind,
        "array": kind,
        "batches": "InputError inputs must have the same number of rows, given 3 of time and 2 of trajectory",
        "nan": infinite.format("(1, 3)"),
        "infinity": infinite.format("(0, 7)"),
        "nan let through": "(2, 1)",
        "range": outside.format(1.5),
        "range let through": "(2, 1)",
        "range, nan let through": outside.format(-1.5),
        "edge of the range": "(2, 1)",
        "empty": "(0, 1)",
        "ort.Tensor": "(2, 1)",
        "at once": "each its own answer",
        "unreachable": unread.format("cpp/model.txt", "fetch failed"),
        "no folder chosen": unread.format("cpp/model.txt", "no such file"),
        "chosen": unread.format("predict.onnx", "no such file"),
        "old runtime": "ZooError expected onnxruntime-web 1.22 or newer, which tells what a graph takes",
        "released": "InputError ive-pendulum has no endpoint encode, it has none",
    }


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        pass


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
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


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


def test_folder_beside_the_page_in_chromium(web, address):
    said = browse(web, f"{address}/?folder={PENDULUM}")
    check_page(said, PENDULUM, address)
    assert said["rows"][0] == ["in", "trajectory", "batch × 50", "m", "-1 to 1", ""]  # noqa: RUF001


def test_page_says_what_is_wrong(web, address, pendulum, tmp_path):
    assert browse(web, f"{address}/?folder=nowhere")["bad"] == [
        "cpp/model.txt: cannot be read (HTTP 404): expected a folder that zoo export wrote, copy it again"
    ]
    said = browse(web, f"{address}/?folder=http://localhost:{address.rpartition(':')[2]}/{PENDULUM}")
    assert said["bad"] == [
        "cpp/model.txt: cannot be read (Failed to fetch): expected a folder that zoo export wrote, copy it again"
    ]
    assert "Content Security Policy" in said["complaints"][0]
    folder = tmp_path / PENDULUM
    shutil.copytree(pendulum, folder)
    save(MEAN, np.zeros((16, 3), "f4"))(folder)
    status, cell = browse(web, address, folder)["bad"]
    assert status.endswith(": 4 of 5 outputs as on the day of release")
    assert cell.endswith("OUTSIDE THE TOLERANCE")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)


def test_page_shows_lines_of_the_example():
    example = {line.strip() for line in (WEB / "example.mjs").read_text().splitlines()}
    [shown] = blocks("js")
    assert [line for line in shown.splitlines() if line not in example] == []


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
