"""How many requests a fleet of Triton servers answers within a time limit: a queueing simulation, for planning.

    python benchmarks/fleet.py [--requests 40000]

Assumptions. Requests of one row arrive at random (Poisson). A balancer gives each to the server with the fewest requests. Each
server has one instance, which takes all that waits, at most ``max_batch`` rows, as soon as it is free, as the exported
configuration has it (dynamic batching without delay). A batch of n rows takes ``first + (n - 1) * further``, measured with
copies on one H200 and on one core of the machine beside it (docs/gpu.md). The network and a server's own work around a run take
``around`` for each request, in sequence, which is the share of one core: 0.06 ms is what a request of ours took over REST
(results/serving.json). Triton's own is not measured here; where it is smaller the fleet answers more.

Prints and writes the largest rate at which 99% of the requests are answered within the limit.
"""

from __future__ import annotations

import argparse
import heapq
from dataclasses import asdict, dataclass

import numpy as np
from interleaved import write

LIMIT_MS = 10.0
"""Within which 99% of the requests are to be answered."""
FLEETS = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Service:
    """What one server takes, in milliseconds."""

    first: float
    further: float
    around: float
    max_batch: int

    def batch(self, rows: int) -> float:
        """Time of a run of so many rows."""
        return self.first + (rows - 1) * self.further


MEASURED = {
    "cnn3d-halo-mass on an H200": Service(first=0.148, further=(0.589 - 0.148) / 63, around=0.06, max_batch=256),
    "cnn3d-halo-mass on one core": Service(first=0.612, further=(39.3 - 0.612) / 63, around=0.06, max_batch=256),
    "nsf-cmb-posterior.sample on an H200": Service(first=3.13, further=(3.30 - 3.13) / 255, around=0.06, max_batch=256),
}


def latencies(service: Service, servers: int, rate: float, requests: int, rng: np.random.Generator) -> np.ndarray:
    """Milliseconds from arrival to answer of each request.

    Parameters
    ----------
    service : Service
        What one server takes.
    servers : int
        Number of servers.
    rate : float
        Requests per second of the whole fleet.
    requests : int
        How many arrive.
    rng : numpy.random.Generator
        Draws the arrivals.

    Returns
    -------
    ndarray
        (requests,), ms.
    """
    arrivals = np.cumsum(rng.exponential(1e3 / rate, requests))
    answered = np.empty(requests)
    waiting: list[list[int]] = [[] for _ in range(servers)]
    load = [0] * servers
    free_at = [0.0] * servers  # when the server's own work on what has arrived is done
    running: list[list[int]] = [[] for _ in range(servers)]
    events = [(float(time), 0, number) for number, time in enumerate(arrivals)]
    heapq.heapify(events)

    def start(server: int, now: float) -> None:
        if running[server] or not waiting[server]:
            return
        running[server], waiting[server] = waiting[server][: service.max_batch], waiting[server][service.max_batch :]
        heapq.heappush(events, (now + service.batch(len(running[server])), 2, server))

    while events:
        now, kind, which = heapq.heappop(events)
        if kind == 0:  # a request arrives
            server = min(range(servers), key=load.__getitem__)
            load[server] += 1
            free_at[server] = max(free_at[server], now) + service.around
            heapq.heappush(events, (free_at[server], 1, which * servers + server))
        elif kind == 1:  # it has been read
            number, server = divmod(which, servers)
            waiting[server].append(number)
            start(server, now)
        else:  # a batch is done
            for number in running[which]:
                answered[number] = now
            load[which] -= len(running[which])
            running[which] = []
            start(which, now)
    return answered - arrivals


def capacity(service: Service, servers: int, requests: int, limit: float = LIMIT_MS) -> float:
    """The largest rate, requests/s, at which 99% are answered within the limit (ms); 0 where not even a single one is."""

    def fits(rate: float) -> bool:
        taken = latencies(service, servers, rate, requests, np.random.default_rng(0))
        return bool(np.percentile(taken[requests // 10 :], 99) <= limit)

    low, high = 0.0, 1e3 * servers / max(service.around, service.batch(service.max_batch) / service.max_batch)
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=40_000)
    arguments = parser.parse_args()
    found = {}
    for name, service in MEASURED.items():
        rates = {servers: capacity(service, servers, arguments.requests) for servers in FLEETS}
        found[name] = {"service_ms": asdict(service), "requests_per_second": rates}
        print(f"{name}: " + ", ".join(f"{servers}: {rate:,.0f}/s" for servers, rate in rates.items()), flush=True)
    content = {"limit_ms": LIMIT_MS, "requests": arguments.requests, "seed": 0, "results": found}
    write("fleet.json", content)


if __name__ == "__main__":
    main()
