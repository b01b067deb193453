"""Every released ONNX file in old and new ONNX Runtimes, against the test tensors that its card carries.

    python benchmarks/runtimes.py [VERSION...] [--specs | --taggers]

Each version is installed by pip into a temporary folder, with a NumPy that it takes, and runs in a process of its own that has
nothing else. By default: the oldest version that pip offers this Python, the newest, and those that experiments ship (see
export/targets.py). Graphs that are the same bytes as in the results are not run again in the same version. Writes
benchmarks/results/runtimes.json; --specs also writes the versions in which all endpoints of a model agree into its card.
--taggers exports every tagger on particle clouds, those of ZOO_PATH too, for CMSSW and Athena, which compares them with Keras,
and runs jets of some lengths in the versions that CMSSW ships; it writes benchmarks/results/taggers.json.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from interleaved import RESULTS, about, write

import zoo
from zoo.model.model_json import write_spec
from zoo.model.spec import TEST_TENSORS, onnx_file
from zoo.model.store import locate

SHIPPED = ["1.17.1", "1.20.1", "1.26.0"]
"""Versions that CMSSW ships."""
LENGTHS = (0, 1, 7, 39, 64, 128)
"""Particles of the jets that taggers are compared on."""

WORKER = """
import json, sys
import numpy as np, onnxruntime

onnxruntime.set_default_logger_severity(3)
results = {}
for case in json.load(sys.stdin):
    try:
        tensors = np.load(case["tensors"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(case["graph"], options, providers=["CPUExecutionProvider"])
        prefix = case["endpoint"]
        given = session.run(case["outputs"], {name: tensors[f"{prefix}/in/{name}"] for name in case["inputs"]})
        ok, largest = True, 0.0
        for name, array in zip(case["outputs"], given):
            expected = tensors[f"{prefix}/out/{name}"].astype(np.float64)
            array = np.asarray(array)
            difference = np.abs(array - expected)
            allowed = case["absolute"] + case["relative"] * np.abs(expected)
            ok = ok and array.shape == expected.shape and bool((difference <= allowed).all())
            largest = max(largest, float(difference.max()))
        results[case["name"]] = {"ok": ok, "max_absolute": largest}
    except Exception as error:
        results[case["name"]] = {"ok": False, "error": str(error).splitlines()[0]}
print(json.dumps({"onnxruntime": onnxruntime.__version__, "results": results}))
"""


def cases() -> list[dict]:
    """A case for each endpoint of each released model; every file has the sha256 of its card."""
    found = []
    for name in zoo.list_models():
        folder = locate(name)
        if not folder.released:
            continue
        for endpoint, described in folder.spec.endpoints.items():
            found.append(
                {
                    "name": f"{name}/{endpoint}",
                    "endpoint": endpoint,
                    "graph": str(folder.path(onnx_file(endpoint))),
                    "sha256": folder.spec.file(onnx_file(endpoint)).sha256,
                    "tensors": str(folder.path(TEST_TENSORS)),
                    "inputs": [tensor.name for tensor in described.inputs],
                    "outputs": [tensor.name for tensor in described.outputs],
                    **folder.spec.tolerance.model_dump(),
                }
            )
    return found


def tagger_cases(folder: Path) -> list[dict]:
    """A case for each tagger, form and length of a jet: what the software hands over, and what the graph answers here.

    The export has compared that with Keras.
    """
    from zoo.export import export
    from zoo.export.experiments.cloud import read_cloud
    from zoo.export.experiments.gate import jets_of
    from zoo.export.parity import onnx_function
    from zoo.export.targets import TARGETS
    from zoo.loading import read_test_tensors

    found = []
    for name in zoo.list_models():
        spec = zoo.get_spec(name)
        described = spec.endpoint(spec.default_endpoint)
        if "particle" not in described.free:
            continue
        tolerance = spec.tolerance_of(described.outputs[0]).model_dump()
        rows, _ = read_test_tensors(locate(name).path(TEST_TENSORS), spec)[spec.default_endpoint]
        for target in ("cmssw", "athena"):
            export(zoo.load(name), folder / f"{name}-{target}", target=target, parity_rows=200)
            form, cloud = TARGETS[target].form, read_cloud(spec, target)
            graph = folder / f"{name}-{target}" / form.folder / form.file
            run = onnx_function(graph)
            jets = {len(jet.momenta): jet for jet in jets_of(cloud, rows, 60)}
            for length in LENGTHS:
                tensors = folder / f"{name}-{target}-{length}.npz"
                feed = form.inputs(cloud, jets[length])
                answers = run(feed)
                given = {f"jet/in/{key}": array for key, array in feed.items()}
                np.savez(tensors, **given, **{f"jet/out/{key}": array for key, array in answers.items()})
                case = {"name": f"{name}/{target}/{length}", "endpoint": "jet", "graph": str(graph), "tensors": str(tensors)}
                found.append(case | {"inputs": list(feed), "outputs": list(answers), **tolerance})
    return found


def offered() -> list[str]:
    """Versions of onnxruntime that pip has for this Python, oldest first."""
    answer = subprocess.run([sys.executable, "-m", "pip", "index", "versions", "onnxruntime"], capture_output=True, text=True)
    if not (found := re.search(r"Available versions: (.*)", answer.stdout)):
        sys.exit(f"pip offers no onnxruntime: {answer.stderr.strip()}")
    return found[1].split(", ")[::-1]


def run(version: str, todo: list[dict]) -> dict[str, dict]:
    """Endpoint -> whether it agrees, and by how much it differs, in one version."""
    # Wheels up to 1.18 are compiled against NumPy 1.
    numpy = "numpy<2" if tuple(map(int, version.split(".")[:2])) < (1, 19) else "numpy"
    with tempfile.TemporaryDirectory() as folder:
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
        packages = [f"onnxruntime=={version}", numpy, "packaging", "flatbuffers", "protobuf"]
        subprocess.run([*install, *packages], check=True, stderr=subprocess.DEVNULL)
        environment = {"PYTHONPATH": folder, "OMP_NUM_THREADS": "1"}
        worker = [sys.executable, "-S", "-c", WORKER]
        answer = subprocess.run(worker, input=json.dumps(todo), env=environment, capture_output=True, text=True)
    if answer.returncode:
        reason = answer.stderr.strip().splitlines()[-1]
        return {case["name"]: {"ok": False, "error": f"does not start: {reason}"} for case in todo}
    said = json.loads(answer.stdout)
    assert said["onnxruntime"] == version, said["onnxruntime"]
    return said["results"]


def run_all(versions: list[str], todo: list[dict], known: dict[str, dict[str, dict]]) -> dict[str, dict[str, dict]]:
    """Version -> what is known, and of all other cases what :func:`run` says; failures are printed."""
    results = {}
    for version in versions:
        left = [case for case in todo if case["name"] not in known[version]]
        results[version] = known[version] | (run(version, left) if left else {})
        failed = {name: result for name, result in results[version].items() if not result["ok"]}
        print(f"onnxruntime {version}: {len(todo) - len(failed)} of {len(todo)} endpoints agree", flush=True)
        for name, result in failed.items():
            print(f"  {name}: {result.get('error', result.get('max_absolute'))}", flush=True)
    return results


def unchanged(versions: list[str], todo: list[dict]) -> dict[str, dict[str, dict]]:
    """Version -> what the file of results says of graphs that are the same bytes as then."""
    path = RESULTS / "runtimes.json"
    if not path.exists():
        return {version: {} for version in versions}
    before = json.loads(path.read_text())
    same = {case["name"] for case in todo if before["sha256"].get(case["name"]) == case["sha256"]}
    found = {version: before["results"].get(version, {}) for version in versions}
    return {version: {name: one for name, one in of.items() if name in same} for version, of in found.items()}


def write_specs(results: dict[str, dict[str, dict]]) -> None:
    """Say in each model.json in which versions all of its endpoints agree."""
    for name in zoo.list_models():
        folder = locate(name)
        if not folder.released:
            continue
        agreed = [
            f"onnxruntime {version}"
            for version, found in results.items()
            if all(found[f"{name}/{endpoint}"]["ok"] for endpoint in folder.spec.endpoints)
        ]
        export = folder.spec.export.model_copy(update={"runtimes": agreed})
        write_spec(folder.folder.resolve(), folder.spec.model_copy(update={"export": export}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", metavar="VERSION")
    parser.add_argument("--specs", action="store_true")
    parser.add_argument("--taggers", action="store_true")
    arguments = parser.parse_args()
    versions = arguments.versions
    if arguments.taggers:
        with tempfile.TemporaryDirectory() as folder:
            versions = versions or SHIPPED
            results = run_all(versions, tagger_cases(Path(folder)), {version: {} for version in versions})
        write("taggers.json", {"versions": about("onnxruntime", "keras"), "particles": LENGTHS, "results": results})
        return
    if not versions:
        known = offered()
        versions = [version for version in known if version in {known[0], *SHIPPED, known[-1]}]
    todo = cases()
    results = run_all(versions, todo, unchanged(versions, todo))
    graphs = {case["name"]: case["sha256"] for case in todo}
    write("runtimes.json", {"versions": about(), "sha256": graphs, "results": results})
    if arguments.specs:
        write_specs(results)


if __name__ == "__main__":
    main()
