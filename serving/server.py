"""A first inference server: the Open Inference Protocol V2 over REST, as Triton's HTTP client speaks it."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from zoo.errors import InputError, ReproductionError, UnknownNameError, ZooError
from zoo.serving import protocol
from zoo.serving.metrics import Metrics
from zoo.serving.session import Session
from zoo.serving.verify import verify

MAX_BODY = 64 * 2**20
# Below this size an answer takes less time than handing it to a thread; above it, it would hold up everyone else's.
_INLINE = 64 * 2**10


def create_app(models: Sequence[str | Path], *, max_body: int = MAX_BODY) -> Starlette:
    """The server as an ASGI application, ready from the start: every model is loaded and has reproduced its test tensors.

    Parameters
    ----------
    models : released names or folders; every endpoint of each is served, see ``zoo.serving.protocol``
    max_body : largest request, in bytes, compressed or not

    Raises
    ------
    UnknownNameError, IntegrityError
        A model that is not there, or not the one that its card describes.
    ReproductionError
        A model that does not reproduce its test tensors.
    ZooError
        Two models of one name.
    """
    server = _Server(models, max_body)
    routes = [
        Route("/v2", server.about),
        Route("/v2/health/live", server.healthy),
        Route("/v2/health/ready", server.healthy),
        Route("/v2/repository/index", server.index, methods=["GET", "POST"]),
        Route("/metrics", server.metrics),
    ]
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        routes += [
            Route(path, server.metadata),
            Route(f"{path}/ready", server.ready),
            Route(f"{path}/infer", server.infer, methods=["POST"]),
        ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(GZipMiddleware, compresslevel=1)],
        exception_handlers=dict.fromkeys((HTTPException, InputError, ClientDisconnect, Exception), _failed),
    )


def serve(models: Sequence[str | Path], host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve models until interrupted; raises as ``create_app`` does before the port opens."""
    uvicorn.run(create_app(models), host=host, port=port, access_log=False)


@dataclass(frozen=True)
class _Served:
    """One endpoint of one model under its name on the wire."""

    name: str
    version: str
    session: Session
    endpoint: str

    def answer(self, body: bytes, header_length: str | None) -> tuple[bytes, int | None, int]:
        """Body of the response, length of its JSON part, and the rows answered."""
        request = protocol.parse(body, header_length, self.session.spec.endpoints[self.endpoint])
        arrays = self.session.run(
            request.inputs,
            self.endpoint,
            allow_nonfinite=request.allow_nonfinite,
            allow_out_of_range=request.allow_out_of_range,
        )
        return *protocol.build(request, self.name, self.version, arrays), len(next(iter(arrays.values())))


class _Server:
    def __init__(self, models: Sequence[str | Path], max_body: int) -> None:
        self._max_body = max_body
        self._served: dict[str, _Served] = {}
        for model in models:
            session = Session(model)
            report = verify(session)
            if not report.ok:
                failed = ", ".join(f"{row.endpoint}/{row.output}" for row in report.rows if not row.ok)
                raise ReproductionError(f"{model} does not reproduce its test tensors: {failed}; zoo verify shows by how much")
            for endpoint in session.endpoints:
                name = protocol.wire_name(session.spec.name, endpoint)
                if name in self._served:
                    raise ZooError(f"two of the models to serve answer to the name {name}")
                self._served[name] = _Served(name, session.spec.revision, session, endpoint)
        self._metrics = Metrics((served.name, served.version) for served in self._served.values())

    async def about(self, request: Request) -> Response:
        return JSONResponse({"name": "physzoo", "version": version("physzoo"), "extensions": ["binary_tensor_data"]})

    async def healthy(self, request: Request) -> Response:
        return Response()

    async def index(self, request: Request) -> Response:
        models = self._served.values()
        return JSONResponse([{"name": m.name, "version": m.version, "state": "READY", "reason": ""} for m in models])

    async def metrics(self, request: Request) -> Response:
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def metadata(self, request: Request) -> Response:
        served = self._find(request)
        return JSONResponse(protocol.metadata(served.session.spec, served.endpoint))

    async def ready(self, request: Request) -> Response:
        self._find(request)
        return Response()

    async def infer(self, request: Request) -> Response:
        served = self._find(request)
        start = time.perf_counter()
        header_length = request.headers.get(protocol.HEADER)
        try:
            body = await _body(request, self._max_body)
            if len(body) <= _INLINE:
                content, json_length, rows = served.answer(body, header_length)
            else:
                content, json_length, rows = await run_in_threadpool(served.answer, body, header_length)
        except Exception:
            self._metrics.failure(served.name, served.version)
            raise
        self._metrics.success(served.name, served.version, rows=rows, seconds=time.perf_counter() - start)
        if json_length is None:
            return Response(content, media_type="application/json")
        return Response(content, media_type="application/octet-stream", headers={protocol.HEADER: str(json_length)})

    def _find(self, request: Request) -> _Served:
        name, wanted = request.path_params["name"], request.path_params.get("version")
        served = self._served.get(name)
        if served is None:
            raise HTTPException(404, str(UnknownNameError("served model", name, self._served)))
        if wanted not in (None, served.version):
            raise HTTPException(404, f"{name} is served in version {served.version}, not {wanted}")
        return served


async def _body(request: Request, limit: int) -> bytes:
    """The body, decompressed, refused as soon as it passes the limit."""
    too_large = HTTPException(413, f"the request is larger than the {limit} bytes that this server accepts")
    chunks = bytearray()
    async for chunk in request.stream():
        if len(chunks) + len(chunk) > limit:
            raise too_large
        chunks += chunk
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding == "identity":
        return bytes(chunks)
    if encoding not in ("gzip", "deflate"):
        raise HTTPException(415, f"expected the content encoding gzip, deflate or none, given {encoding!r}")
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # reads both
    try:
        body = stream.decompress(bytes(chunks), limit + 1)
    except zlib.error as error:
        raise HTTPException(400, f"the body is no {encoding} stream: {error}") from None
    if len(body) > limit:
        raise too_large
    if not stream.eof:
        raise HTTPException(400, f"the {encoding} stream of the body is cut short")
    return body


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message if len(message) <= 500 else message[:500] + "..."}, status)


async def _failed(request: Request, error: Exception) -> Response:
    match error:
        case HTTPException():
            return _error(error.status_code, error.detail)
        case InputError():
            return _error(400, str(error))
        case ClientDisconnect():
            return _error(400, "the client left before its request was read")
        case _:
            return _error(500, "internal error; the server's log has the details")
