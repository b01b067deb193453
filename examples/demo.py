"""From a name to an answer over the network: what `make demo` runs.

    python examples/demo.py FOLDER        with PLANCK=DIR in the environment for Planck's real spectra

Every line that starts with $ is a command that you can type yourself.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from zoo.data.jets import clouds
from zoo.data.jets.sample import load_sample as load_jets
from zoo.data.nbody.sample import load_sample
from zoo.interpret.plots.maps import maps_beside
from zoo.model.spec import TEST_TENSORS
from zoo.model.store import locate
from zoo.model.test_tensors import read_npz
from zoo.serving import Session

ZOO = Path(sys.executable).with_name("zoo")
CLASSIFIER, POSTERIOR, PENDULUM = "mlp-cmb-feature", "nsf-cmb-posterior", "ive-pendulum"
HALOS, JETS, MAPS, PAINTER = "cnn3d-halo-mass", "pfn-quark-gluon", "cnn2d-cosmology", "diffusion-maps"


def zoo(*arguments: object) -> None:
    """Run a command of the zoo as a user would."""
    print(f"\n$ zoo {' '.join(map(str, arguments))}", flush=True)
    subprocess.run([ZOO, *map(str, arguments)], check=True)


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def query_server(folder: Path, spectra: np.ndarray) -> np.ndarray:
    """Serve the exported folder and ask it with Triton's own client."""
    import tritonclient.http as triton

    port = free_port()
    print(f"\n$ zoo serve {folder} --port {port}", flush=True)
    server = subprocess.Popen([ZOO, "serve", str(folder), "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        client = triton.InferenceServerClient(f"127.0.0.1:{port}")
        for _ in range(100):
            try:
                if client.is_server_ready():
                    break
            except OSError:  # nobody listens yet
                time.sleep(0.1)
        tensor = triton.InferInput("spectrum", spectra.shape, "FP32")
        tensor.set_data_from_numpy(spectra)
        answer = client.infer(CLASSIFIER, [tensor]).as_numpy("probability")
        client.close()
        return answer
    finally:
        server.terminate()
        server.wait()


def simulated_sky(folder: Path) -> Path:
    """A sky that ships with the posterior, of an answer in the middle of all, as a file of the user's."""
    tests = read_npz(locate(POSTERIOR).path(TEST_TENSORS))
    theta = tests["sample/out/theta"]
    middle = np.abs((theta - theta.mean(axis=0)) / theta.std(axis=0)).max(axis=1).argmin()
    np.save(folder / "sky.npy", tests["sample/in/spectrum"][middle])
    return folder / "sky.npy"


def halo_masses(folder: Path) -> None:
    """Cubes of a simulation that no training saw, and how far off their answers are."""
    rows = load_sample()
    np.save(folder / "cubes.npy", rows.inputs["density"])
    zoo("predict", HALOS, "--input", folder / "cubes.npy")
    error = Session(HALOS).run({"density": rows.inputs["density"]})["log_mass"] - rows.target[:, 0]
    print(f"the halos in which those particles ended: root mean square of answer - truth {np.sqrt(np.mean(error**2)):.2f} dex")


def jets(folder: Path) -> None:
    """Jets that no training saw: which are those of quarks, and which particles of the first say so."""
    sample, _ = load_jets("quark-gluon")
    rows = np.random.default_rng(0).permutation(len(sample))
    cloud = {name: tensor[:] for name, tensor in clouds.clouds(sample, rows).items()}
    np.savez(folder / "jets.npz", **{name: tensor[:4] for name, tensor in cloud.items()})
    zoo("predict", JETS, "--input", folder / "jets.npz")
    np.savez(folder / "jet.npz", **{name: tensor[:1] for name, tensor in cloud.items()})
    zoo("explain", JETS, "--input", folder / "jet.npz", "--method", "occlusion", "--out", folder)
    quark = sample.label[rows] == sample.classes.index("quark")
    right = (Session(JETS).run(cloud)["probability"][:, 0] > 0.5) == quark
    print(f"of {len(rows)} shipped jets, half of them of quarks, {right.mean():.0%} are told right")


def maps(folder: Path) -> None:
    """Maps of matter that ship with the model: their cosmologies, and where in the first one the answer stands."""
    shipped = read_npz(locate(MAPS).path(TEST_TENSORS))["predict/in/overdensity"]
    np.save(folder / "maps.npy", shipped[:4])
    zoo("predict", MAPS, "--input", folder / "maps.npy")
    np.save(folder / "map.npy", shipped[:1])
    zoo("explain", MAPS, "--input", folder / "map.npy", "--method", "occlusion", "--target", "omega_m", "--out", folder)


def paint(folder: Path) -> None:
    """The same noise as the matter of four universes."""
    theta = np.array([[0.15, 0.8], [0.3, 0.8], [0.45, 0.8], [0.3, 1.0]], np.float32)
    noise = np.random.default_rng(0).standard_normal((1, 64, 64), np.float32)
    np.savez(folder / "noise.npz", z=np.repeat(noise, len(theta), axis=0), theta=theta)
    zoo("predict", PAINTER, "--endpoint", "sample", "--input", folder / "noise.npz", "--out", folder)
    drawn = np.load(folder / f"{PAINTER}-sample.npz")["overdensity"]
    maps_beside({"drawn": drawn}, theta, box=100.0, count=len(theta)).savefig(folder / "drawn-maps.png", dpi=110)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    planck = os.environ.get("PLANCK")
    source = ("--observation", planck) if planck else ()

    zoo("list")
    zoo("show", CLASSIFIER)
    if not planck:
        print("\nNo folder of Planck's spectra given (make demo PLANCK=DIR): simulated skies that ship with the model instead.")
    zoo("predict", CLASSIFIER, *source, "--out", folder)
    zoo("explain", CLASSIFIER, *source, "--out", folder)
    zoo("infer", POSTERIOR, "--observation", planck or simulated_sky(folder), "--out", folder)
    zoo("explain", PENDULUM, "--out", folder)
    halo_masses(folder)
    jets(folder)
    maps(folder)
    paint(folder)

    exported = folder / f"{CLASSIFIER}-onnx"
    shutil.rmtree(exported, ignore_errors=True)
    zoo("export", CLASSIFIER, "--format", "onnx", "--folder", exported)
    zoo("verify", exported)

    tests = read_npz(locate(CLASSIFIER).path(TEST_TENSORS))  # inputs, and what Keras answered on the day of release
    answer = query_server(exported, tests["predict/in/spectrum"])
    difference = np.abs(answer - tests["predict/out/probability"]).max()
    print(f"tritonclient asked for {len(answer)} skies: largest difference from Keras {difference:.1e}")
    if not difference <= 1e-5:
        sys.exit("the served answer is not that of the Keras model")
    print(f"\nplots and files in {folder}: " + ", ".join(sorted(path.name for path in folder.iterdir())))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
