"""One application in several servers of HTTP: what each of them leaves of its speed, in turns.

    python benchmarks/http_transports.py [--hosts "zoo serve,uvicorn,granian"] [--out]

In each round every host is started by itself, on a free port, and asked by ``serving_load.py``, which compares each answer with
its own input's. The model is that of ``serving.py``. The result on file also has
``own``, HTTP as it was written here before ``zoo serve`` ran on uvicorn.
Another number is the status of a POST with ``Upgrade: h2c``, which Java's HttpClient and ``curl --http2`` send.
"""

from __future__ import annotations

import argparse
import http.client
import os
import statistics
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from interleaved import about, write
from serving_load import rest_request
from serving_servers import ours, processor_seconds, running

from serving import load, write_model

HOSTS = ("zoo serve", "uvicorn", "granian")
LOADS = {
    "batch 1, 1 connection": (1, 1),
    "batch 1, 32 connections": (1, 32),
    "batch 256, 4 connections": (256, 4),
}
PACKAGES = ("uvicorn", "granian", "httptools", "uvloop", "onnxruntime", "numpy")
_PROGRAM = Path(__file__).parent / "serving_peers" / "on_http.py"


def command(host: str, folder: Path) -> list[str]:
    """What starts a host, up to the ports."""
    return ours(folder) if host == "zoo serve" else [sys.executable, str(_PROGRAM), host, str(folder)]


def upgraded(address: str, folder: Path) -> int:
    """The status of a request that offers to go on in HTTP/2."""
    with np.load(folder / "rows.npz") as stored:
        head, _, body = rest_request("mlp", "x", "y", stored["x"][:1]).partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    headers |= {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": ""}
    connection = http.client.HTTPConnection(address)
    connection.request("POST", "/v2/models/mlp/infer", body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def asked(host: str, folder: Path, seconds: float) -> dict[str, dict[str, float]]:
    """Every load on a host."""
    runs = {}
    with running(command(host, folder)) as (addresses, process):
        for name, (rows, connections) in LOADS.items():
            before = processor_seconds(process)
            run = load("rest", addresses["rest"], folder, rows, connections, seconds)
            run["server_us_per_request"] = 1e6 * (processor_seconds(process) - before) / run.pop("requests")
            runs[name] = run
        runs["upgrade"] = {"status": upgraded(addresses["rest"], folder)}
    return runs


def summary(rounds: list[dict[str, dict[str, dict[str, float]]]]) -> dict[str, dict[str, dict[str, object]]]:
    """Print and return the median over the rounds of each number, with its least and most."""
    found: dict[str, dict[str, dict[str, object]]] = {}
    for name in LOADS:
        print(name)
        for host in rounds[0]:
            runs = [each[host][name] for each in rounds]
            numbers = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            ranges = {f"{key}_range": [min(run[key] for run in runs), max(run[key] for run in runs)] for key in runs[0]}
            found.setdefault(name, {})[host] = numbers | ranges
            low, high = ranges["requests_per_second_range"]
            print(
                f"  {host:10} {numbers['requests_per_second']:9.0f} requests/s ({low:.0f} to {high:.0f}) "
                f"{numbers['rows_per_second']:9.0f} rows/s, p50 {numbers['p50_ms']:.3f} ms, p99 {numbers['p99_ms']:.3f} ms, "
                f"server {numbers['server_us_per_request']:.0f} us"
            )
    return found


def main() -> None:
    """Run the rounds, print medians, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--hosts", default=",".join(HOSTS))
    parser.add_argument("--out", action="store_true", help="write benchmarks/results/http_transports.json")
    options = parser.parse_args()
    hosts = options.hosts.split(",")
    rounds: list[dict[str, dict[str, dict[str, float]]]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_model(Path(temporary) / "mlp")
        for number in range(options.rounds):
            order = hosts[number % len(hosts) :] + hosts[: number % len(hosts)]  # nobody always comes after the same one
            taken = {host: asked(host, folder, options.seconds) for host in order}
            rounds.append({host: taken[host] for host in hosts})
    medians = summary(rounds)
    statuses = {host: int(rounds[0][host]["upgrade"]["status"]) for host in hosts}
    print(f"status of a POST with Upgrade: h2c: {statuses}")
    if options.out:
        setting = about(*_installed()) | {"cores": len(os.sched_getaffinity(0)), "seconds": options.seconds}
        write("http_transports.json", {"setting": setting, "median": medians, "upgrade_status": statuses, "rounds": rounds})


def _installed() -> list[str]:
    found = []
    for name in PACKAGES:
        try:
            version(name)
        except PackageNotFoundError:
            continue
        found.append(name)
    return found


if __name__ == "__main__":
    main()
