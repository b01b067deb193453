"""The inference server: the Open Inference Protocol V2 over REST and gRPC, as Triton's clients speak it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import InputError
from zoo.model.registry import list_models
from zoo.serving.asgi import GRACE_SECONDS, AsgiApp
from zoo.serving.batching import Policy
from zoo.serving.handlers import Handlers
from zoo.serving.limits import Limits
from zoo.serving.logs import LOGGER, log_to_stderr
from zoo.serving.repository import Control, Repository
from zoo.serving.rest import Rest
from zoo.serving.rest_server import RestServer

if TYPE_CHECKING:
    import grpc

_LAST_PORT = 2**16 - 1
_DRAIN_SECONDS = 30
_DAY = 86_400.0
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
    tls_cert, tls_key : Path or None
        PEM files of a certificate and of its key, which may be one, with which REST and gRPC are encrypted.
    forwarded_allow_ips : str
        Addresses and networks of proxies, separated by commas, whose ``X-Forwarded-For`` says who asks; ``*``, which
        it takes behind a Unix socket, believes everyone.
    """

    policy: Policy = field(default_factory=Policy)
    limits: Limits = field(default_factory=Limits)
    control: Control = "none"
    poll: float = 15.0
    timeout: float | None = 60.0
    device: str = "auto"
    workers: int | None = None
    log_requests: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    forwarded_allow_ips: str = ""

    def __post_init__(self) -> None:
        """Refuse what no clock and no counter can take, such as NaN; InputError names it."""
        seconds = {"poll": (self.poll, 0.01), "timeout": (self.timeout, 1e-3), "max_delay": (self.policy.max_delay, 0.0)}
        for name, (value, least) in {**seconds, "reading": (self.limits.reading, 0.01)}.items():
            if value is not None and not least <= value <= _DAY:
                raise InputError(f"{name}: expected {least:g} to {_DAY:g} seconds, given {value:g}")
        policy = self.policy
        whole = {"workers": self.workers, "body": self.limits.body, "instances": policy.instances}
        whole |= {name: getattr(policy, name) for name in ("max_batch", "max_rows", "max_queue")}
        for name, count in whole.items():
            if count is not None and not 1 <= count < 2**31:  # gRPC counts bytes in 32 bits
                raise InputError(f"{name}: expected 1 to {2**31 - 1}, given {count}")

    @property
    def tls(self) -> tuple[Path, Path] | None:
        """Files of a certificate and of its key; InputError where only a key is given."""
        if self.tls_cert is None:
            if self.tls_key is not None:
                raise InputError(
                    f"TLS: expected a certificate for the key {self.tls_key}; name its file too (--tls-cert, tls_cert)"
                )
            return None
        return self.tls_cert, self.tls_key or self.tls_cert


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
    InputError
        No certificate with its key where the settings name them.
    """

    def __init__(self, models: Sequence[str | Path] = (), settings: Settings | None = None) -> None:
        self.settings = settings = settings or Settings()
        workers = settings.workers or len(os.sched_getaffinity(0))
        self._pool = pool = ThreadPoolExecutor(workers, thread_name_prefix="zoo-serving")
        sources = models or list_models()
        self.repository = Repository(sources, pool, workers, settings.policy, settings.control, settings.device)
        try:
            self.repository.load_all()
        except BaseException:
            self.repository.close()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        self.handlers = Handlers(self.repository, pool, settings.timeout, settings.limits)
        self.app = AsgiApp(Rest(self.handlers, log_requests=settings.log_requests), self.start_polling, self.stop)
        """REST as an application of ASGI, which polls for as long as its host lives."""
        self.port: int | None = None
        self.grpc_port: int | None = None
        self._rest = RestServer(self.app, _DRAIN_SECONDS, settings.tls, settings.forwarded_allow_ips)
        self._grpc: grpc.aio.Server | None = None
        self._polling: asyncio.Task[None] | None = None

    async def start(
        self, host: str = "127.0.0.1", port: int = 8000, grpc_port: int | None = None, *, uds: Path | None = None
    ) -> None:
        """Open the ports, of which 0 is any that is free; OSError where one is taken. ``uds`` is a Unix socket for REST.

        Raises
        ------
        InputError
            A port beyond 65535, of which gRPC would take the last 16 bits.
        """
        try:
            await self._open(host, port, grpc_port, uds)
        except BaseException:
            await self.stop()
            raise
        await self.start_polling()

    async def _open(self, host: str, port: int, grpc_port: int | None, uds: Path | None) -> None:
        for name, number in (("port", port), ("grpc_port", grpc_port)):
            if number is not None and not 0 <= number <= _LAST_PORT:
                raise InputError(f"{name}: expected 0 to {_LAST_PORT}, given {number}")
        if uds is None:
            self.port = self._rest.bind(host, port)
        else:
            self._rest.bind_unix(uds)
        if grpc_port is not None:
            from zoo.serving.grpc_server import create_grpc_server

            address = f"{f'[{host}]' if ':' in host else host}:{grpc_port}"
            self._grpc, self.grpc_port = create_grpc_server(self.handlers, address, self.settings.tls)
            await self._grpc.start()
        await self._rest.start()

    async def start_polling(self) -> None:
        """Look for changed models from now on, where the settings say so."""
        if self.settings.control == "poll":
            self._polling = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        """Take no more connections, answer what has arrived."""
        self.handlers.ready = False
        if self._polling is not None:
            self._polling.cancel()
        self.repository.close()
        await asyncio.gather(self._rest.stop(), self._stop_grpc())
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _stop_grpc(self) -> None:
        """Answer what has arrived; an idle stream, a watcher of health or half a request would else hold the end up."""
        if self._grpc is None:
            return
        ending = asyncio.ensure_future(self._grpc.stop(_DRAIN_SECONDS))
        await asyncio.wait([ending], timeout=GRACE_SECONDS)
        while self.handlers.pending and not ending.done():
            await asyncio.sleep(0.02)
        await self._grpc.stop(GRACE_SECONDS)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self.settings.poll)
            try:
                await self.repository.poll()
            except Exception:  # looking again must not end with one look
                LOGGER.exception("internal error while looking for changed models")


def create_app(models: Sequence[str | Path] = (), settings: Settings | None = None) -> AsgiApp:
    """REST as an ASGI application, to be hosted elsewhere; parameters and errors as of ``Server``."""
    return Server(models, settings).app


def serve(
    models: Sequence[str | Path] = (),
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    grpc_port: int | None = None,
    uds: Path | None = None,
    settings: Settings | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then answer what is under way; raises as ``Server`` does before a port opens."""
    log_to_stderr()
    sys.setswitchinterval(_SWITCH_SECONDS)
    server = Server(models, settings)
    try:
        import uvloop
    except ImportError:  # Windows
        asyncio.run(_serve(server, host, port, grpc_port, uds))
    else:
        uvloop.run(_serve(server, host, port, grpc_port, uds))
    _leave()


class _Unwaited(ThreadPoolExecutor):
    """Threads that look for models, which a file system that does not answer holds up: the event loop would wait for them."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=True)


def _leave() -> None:
    """End the process where a graph or a file system never answers: Python would wait for its thread."""
    deadline = time.monotonic() + GRACE_SECONDS
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                LOGGER.error("what does not end was given up", extra={"fields": {"thread": thread.name}})
                sys.stderr.flush()
                os._exit(0)


async def _serve(server: Server, host: str, port: int, grpc_port: int | None, uds: Path | None) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.set_default_executor(_Unwaited(thread_name_prefix="zoo-looking"))
    await server.start(host, port, grpc_port, uds=uds)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    runs = {served.name: [str(group.device) for group in served.batcher.groups] for served in server.repository.loaded()}
    fields = {"host": host, "port": server.port, "grpc_port": server.grpc_port, "models": list(runs), "devices": runs}
    if uds is not None:
        fields["uds"] = str(uds)
    LOGGER.info("ready", extra={"fields": fields})
    await stop.wait()
    LOGGER.info("stopping: no new connections; requests under way are answered")
    await server.stop()
