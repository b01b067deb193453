"""The inference server: the Open Inference Protocol V2 over REST and gRPC, as Triton's clients speak it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.model.registry import list_models
from zoo.serving.asgi import AsgiApp
from zoo.serving.batching import Policy
from zoo.serving.handlers import Handlers
from zoo.serving.http import HttpServer
from zoo.serving.logs import LOGGER, log_to_stderr
from zoo.serving.repository import Control, Repository
from zoo.serving.rest import Limits, Rest

if TYPE_CHECKING:
    import grpc

_DRAIN_SECONDS = 30
# Threads that return from ONNX Runtime wait up to this long for the event loop to let go of the interpreter; 5 ms by default.
_SWITCH_SECONDS = 0.0005


@dataclass(frozen=True)
class Settings:
    """Everything about a server but its models and its address.

    Attributes
    ----------
    policy : Policy
        How models are batched whose configuration does not say.
    limits : Limits
        What one client may take of the server.
    control : {"none", "poll", "explicit"}
        Who loads and unloads models, see ``zoo.serving.repository.Repository``.
    poll : float
        Seconds between looks at the models, where control is ``poll``.
    timeout : float or None
        Seconds after which a request that names no timeout is refused.
    device : str
        Where models run whose configuration does not say: ``auto``, ``cpu``, ``cuda`` (all devices) or ``cuda:1``.
    workers : int or None
        Threads that run graphs on the CPU; None for one a core.
    log_requests : bool
        Whether to write one line of JSON a request, besides the server's own faults.
    """

    policy: Policy = field(default_factory=Policy)
    limits: Limits = field(default_factory=Limits)
    control: Control = "none"
    poll: float = 15.0
    timeout: float | None = 60.0
    device: str = "auto"
    workers: int | None = None
    log_requests: bool = False


class Server:
    """Models behind REST and gRPC, ready once built: every model is loaded and has reproduced its test tensors.

    Parameters
    ----------
    models : sequence of str or Path
        Released names, model folders or folders of models (``zoo.serving.layouts``); every endpoint of each is served, see
        ``zoo.serving.protocol``. None at all: every model that ``zoo list`` shows.
    settings : Settings, optional
        Settings of the server, by default the usual ones.

    Raises
    ------
    UnknownNameError, IntegrityError
        A model that is not there, or not the one that its spec describes, or whose graph has other tensors.
    ReproductionError
        A model that does not reproduce its test tensors.
    ZooError
        Two models of one name.
    """

    def __init__(self, models: Sequence[str | Path] = (), settings: Settings | None = None) -> None:
        self.settings = settings = settings or Settings()
        workers = settings.workers or len(os.sched_getaffinity(0))
        pool = ThreadPoolExecutor(workers, thread_name_prefix="zoo-serving")
        sources = models or list_models()
        self.repository = Repository(sources, pool, workers, settings.policy, settings.control, settings.device)
        try:
            self.repository.load_all()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        self.handlers = Handlers(self.repository, pool, settings.timeout)
        self.rest = Rest(self.handlers, settings.limits, log_requests=settings.log_requests)
        self.port: int | None = None
        self.grpc_port: int | None = None
        self._http = HttpServer(self.rest)
        self._grpc: grpc.aio.Server | None = None
        self._polling: asyncio.Task[None] | None = None

    async def start(self, host: str = "127.0.0.1", port: int | None = 8000, grpc_port: int | None = None) -> None:
        """Open the ports, of which 0 is any that is free and None is none; OSError where one is taken."""
        if grpc_port is not None:
            from zoo.serving.grpc_server import create_grpc_server

            address = f"[{host}]" if ":" in host else host
            self._grpc, self.grpc_port = create_grpc_server(self.handlers, f"{address}:{grpc_port}", self.settings.limits)
            await self._grpc.start()
        if port is not None:
            self.port = await self._http.start(host, port)
        if self.settings.control == "poll":
            self._polling = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        """Take no more connections, answer what is under way."""
        self.handlers.ready = False
        if self._polling is not None:
            self._polling.cancel()
        stopping = [] if self._grpc is None else [self._grpc.stop(_DRAIN_SECONDS)]
        if self.port is not None:
            stopping.append(self._http.stop(_DRAIN_SECONDS))
        await asyncio.gather(*stopping)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self.settings.poll)
            try:
                await self.repository.poll()
            except Exception:  # looking again must not end with one look
                LOGGER.exception("internal error while looking for changed models")


def create_app(models: Sequence[str | Path] = (), settings: Settings | None = None) -> AsgiApp:
    """REST as an ASGI application, to be hosted elsewhere; parameters and errors as of ``Server``."""
    server = Server(models, settings)
    return AsgiApp(server.rest, partial(server.start, port=None), server.stop)


def serve(
    models: Sequence[str | Path] = (),
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    grpc_port: int | None = None,
    settings: Settings | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then answer what is under way; raises as ``Server`` does before a port opens."""
    log_to_stderr()
    sys.setswitchinterval(_SWITCH_SECONDS)
    server = Server(models, settings)
    try:
        import uvloop
    except ImportError:  # Windows
        asyncio.run(_serve(server, host, port, grpc_port))
    else:
        uvloop.run(_serve(server, host, port, grpc_port))


async def _serve(server: Server, host: str, port: int, grpc_port: int | None) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    await server.start(host, port, grpc_port)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    runs = {served.name: [str(group.device) for group in served.batcher.groups] for served in server.repository.loaded()}
    fields = {"host": host, "port": server.port, "grpc_port": server.grpc_port, "models": list(runs), "devices": runs}
    LOGGER.info("ready", extra={"fields": fields})
    await stop.wait()
    LOGGER.info("stopping: no new connections; requests under way are answered")
    await server.stop()
