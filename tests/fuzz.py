"""Everything that a stranger can hand in, changed at random: files, graphs, HTTP and gRPC. ``make fuzz`` runs it for minutes.

What is found is kept in ``corpus/<kind>``, from where ``test_corpus.py`` tries it in every run of the tests. A target takes
bytes and raises where the zoo does anything but answer or refuse.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import hashlib
import json
import random
import re
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import grpc
import numpy as np
import tiny_models
from format_1 import to_format_1
from live_server import running
from tiny_folder import make_model_folder

from zoo.errors import IntegrityError, ZooError
from zoo.model.card import split
from zoo.model.model_json import read_spec, read_summary, write_spec
from zoo.model.spec import CARD, SPEC, TEST_TENSORS, WEIGHTS
from zoo.model.test_tensors import read_test_tensors
from zoo.serving import rest_server
from zoo.serving.limits import Limits
from zoo.serving.messages import MESSAGES, SERVICE
from zoo.serving.server import Server, Settings
from zoo.serving.verify import verify

CORPUS = Path(__file__).with_name("corpus")
SECONDS = 120
"""Longer than anything takes that is refused; a case that does is kept, and ends the run."""
Attempt = Callable[[bytes], None]
Target = Callable[[Path], AbstractContextManager[tuple[bytes, Attempt]]]
"""A folder of its own -> something valid, and what tries bytes in its place."""


@contextmanager
def npz(folder: Path) -> Iterator[tuple[bytes, Attempt]]:
    """Test tensors."""
    spec = read_spec(tiny_models.write_tiny_model(folder / "tiny"))
    path = folder / "tiny" / TEST_TENSORS

    def attempt(content: bytes) -> None:
        path.write_bytes(content)
        with contextlib.suppress(IntegrityError):
            read_test_tensors(path, spec)

    yield path.read_bytes(), attempt


@contextmanager
def h5(folder: Path) -> Iterator[tuple[bytes, Attempt]]:
    """Weights."""
    from tiny_networks import released

    from zoo.loading import load_weights

    model, path = released("mlp"), folder / WEIGHTS
    model.save_weights(path)

    def attempt(content: bytes) -> None:
        path.write_bytes(content)
        with contextlib.suppress(IntegrityError):
            load_weights(model, path)

    yield path.read_bytes(), attempt


@contextmanager
def model_json(folder: Path) -> Iterator[tuple[bytes, Attempt]]:
    """Specs."""
    make_model_folder(folder / "model")
    path = folder / "model" / SPEC

    def attempt(content: bytes) -> None:
        path.write_bytes(content)
        for read in (read_spec, read_summary):
            with contextlib.suppress(IntegrityError):
                read(path.parent)

    yield path.read_bytes(), attempt


@contextmanager
def card(folder: Path) -> Iterator[tuple[bytes, Attempt]]:
    """Cards, of format 1."""
    make_model_folder(folder / "model")
    path = to_format_1(folder / "model") / CARD

    def attempt(content: bytes) -> None:
        path.write_bytes(content)
        for read in (read_spec, read_summary, lambda folder: split(folder / CARD)):
            with contextlib.suppress(IntegrityError):
                read(path.parent)

    yield path.read_bytes(), attempt


@contextmanager
def onnx(folder: Path) -> Iterator[tuple[bytes, Attempt]]:
    """Graphs whose sha256 fits."""
    tiny_models.write_tiny_model(folder / "tiny", endpoints=("predict",))
    path = folder / "tiny" / "predict.onnx"

    def attempt(content: bytes) -> None:
        path.write_bytes(content)
        write_spec(path.parent, read_spec(path.parent).model_copy(update={"files": tiny_models.files_of(path.parent)}))
        with contextlib.suppress(ZooError):
            verify(path.parent, device="cpu")

    yield path.read_bytes(), attempt


@contextmanager
def http(folder: Path) -> Iterator[tuple[bytes, Attempt]]:
    """What arrives on a connection."""
    with patch.object(rest_server, "IDLE_SECONDS", 0.3):  # connections are read until the server closes them
        server = Server([tiny_models.write_tiny_model(folder / "tiny")], Settings(limits=Limits(reading=0.2)))
    tensor = {"name": "spectrum", "datatype": "FP32", "shape": [1, 5], "data": [0.5] * 5}
    body = json.dumps({"id": "1", "inputs": [tensor], "parameters": {"timeout": 10**6}}).encode()
    head = (
        f"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )

    def attempt(content: bytes) -> None:
        for sent, valid in ((content, False), (head + body, True)):
            with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as connection:
                said = _said(connection, sent)
            statuses = [int(status) for status in re.findall(rb"^HTTP/1\.1 (\d+) ", said, re.MULTILINE)]
            assert not [status for status in statuses if status >= 500 and status not in (501, 505)], said[:500]
            assert statuses == [200] or not valid, said[:500]

    with running(server):
        yield head + body, attempt


def _said(connection: socket.socket, sent: bytes) -> bytes:
    said = b""
    with contextlib.suppress(ConnectionError):
        connection.sendall(sent)
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(2**16):
            said += piece
    return said


@contextmanager
def messages(folder: Path) -> Iterator[tuple[bytes, Attempt]]:
    """Messages of gRPC."""
    server = Server([tiny_models.write_tiny_model(folder / "tiny")])
    message = MESSAGES["ModelInferRequest"](model_name="tiny", id="1")
    message.inputs.add(name="spectrum", datatype="FP32", shape=[1, 5])
    message.raw_input_contents.append(np.zeros(5, "<f4").tobytes())
    message.parameters["timeout"].int64_param = 10**6
    faults = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED}
    with running(server), grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")

        def attempt(content: bytes) -> None:
            try:
                infer(content, timeout=SECONDS)
            except grpc.RpcError as error:
                if error.code() in faults:
                    raise

        yield message.SerializeToString(), attempt


TARGETS: dict[str, Target] = {
    "npz": npz,
    "h5": h5,
    "model_json": model_json,
    "card": card,
    "onnx": onnx,
    "http": http,
    "grpc": messages,
}

NUMBERS = [b"-1", b"0", b"1e400", b"1e-5", b"NaN", b"null", b"9223372036854775808", b"1" + b"0" * 400, b"1:1:1", b'"x"', b"[]"]
BINARY = [
    bytes(4),
    b"\xff" * 4,
    b"\xff" * 8,
    b"\x7f" + b"\xff" * 3,
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80",
    b"\x80" * 9 + b"\x01",
]


def changed(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Something near it: flipped, cut, repeated, spliced with another, or with a number that fits nowhere."""
    made = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, much = rng.randrange(len(made) + 1), rng.choice((1, 2, 4, 8, 64))
        end = min(len(made), at + much)
        match rng.randrange(8):
            case 0 if at < len(made):
                made[at] ^= 1 << rng.randrange(8)
            case 1:
                made[at:end] = rng.randbytes(end - at)
            case 2:
                del made[at:end]
            case 3:
                made[at:at] = made[at:end] * rng.choice((1, 3, 100))
            case 4:
                made[at:end] = rng.choice(BINARY)
            case 5 if numbers := list(re.finditer(rb"-?\d+(\.\d+)?", made)):
                one = rng.choice(numbers)
                made[one.start() : one.end()] = rng.choice(NUMBERS)
            case 6:
                other = rng.choice(others)
                made[at:] = other[rng.randrange(len(other) + 1) :]
            case 7 if rng.random() < 0.3:
                del made[at:]
    return bytes(made)


def seeds(kind: str) -> list[bytes]:
    """What was found before."""
    return [path.read_bytes() for path in sorted((CORPUS / kind).iterdir())]


def keep(kind: str, content: bytes) -> Path:
    """Put a case into the corpus."""
    path = CORPUS / kind / hashlib.sha256(content).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def fuzz(kind: str, seconds: float, rng: random.Random) -> int:
    """Try one target for some time; how many faults were found."""
    faults = tried = 0
    end = time.monotonic() + seconds
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        valid, attempt = stack.enter_context(TARGETS[kind](folder))
        others = [valid, *seeds(kind)]
        attempt(valid)
        while time.monotonic() < end:
            content = changed(rng.choice((valid, rng.choice(others))), others, rng)
            kept = keep(kind, content)  # what ends the process is in the corpus already
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            tried += 1
            try:
                attempt(content)
            except Exception:
                faults += 1
                print(f"{kept}:", file=sys.stderr)
                traceback.print_exc()
            else:
                kept.unlink()
            finally:
                faulthandler.cancel_dump_traceback_later()
    print(f"{kind}: {tried} tried, {faults} faults", flush=True)
    return faults


def main() -> None:
    """Share the time among the targets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(TARGETS), help=", ".join(TARGETS))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    rng = random.Random(given.seed)
    faults = sum([fuzz(kind, 60 * given.minutes / len(given.kinds), rng) for kind in given.kinds])
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
