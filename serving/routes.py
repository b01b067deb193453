"""Where REST finds each of the protocol's methods but ``infer``, which ``zoo.serving.rest`` finds faster."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable

from zoo.errors import InputError
from zoo.serving.handlers import Handlers
from zoo.serving.openapi import document
from zoo.serving.protocol import Body
from zoo.serving.rejections import RefusedError
from zoo.serving.responses import Answer, refusal

Method = Callable[..., Awaitable[Answer]]
_PROMETHEUS = ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),)


def routes(handlers: Handlers) -> list[tuple[re.Pattern[str], dict[str, Method]]]:
    """The paths of the protocol.

    Parameters
    ----------
    handlers : Handlers
        The protocol's methods.

    Returns
    -------
    list of tuple of (Pattern, dict)
        Pattern of the path, whose named groups are arguments -> method of HTTP -> what answers it.
    """
    served = _Methods(handlers)
    table: dict[str, dict[str, Method]] = {
        "/v2/?": {"GET": _plain(lambda: {**handlers.server(), "devices": handlers.devices()})},
        "/v2/health/live": {"GET": served.live},
        "/v2/health/ready": {"GET": served.ready},
        "/v2/models/stats": {"GET": _plain(handlers.statistics)},
        "/v2/repository/index": {"GET": served.index, "POST": served.index},
        "/v2/repository/models/(?P<name>[^/]+)/load": {"POST": served.load},
        "/v2/repository/models/(?P<name>[^/]+)/unload": {"POST": served.unload},
        "/metrics": {"GET": served.metrics},
        "/openapi.json": {"GET": _plain(lambda: document(handlers))},
    }
    model = r"/v2/models/(?P<name>[^/]+)"
    for path in (model, model + r"/versions/(?P<version>[^/]+)"):
        table |= {
            path: {"GET": _plain(lambda name, version=None: handlers.model(name, version))},
            f"{path}/ready": {"GET": served.model_ready},
            f"{path}/config": {"GET": _plain(lambda name, version=None: handlers.config(name, version))},
            f"{path}/stats": {"GET": _plain(lambda name, version=None: handlers.statistics(name, version))},
            f"{path}/infer": {"POST": served.infer_nowhere},
        }
    return [(re.compile(pattern), methods) for pattern, methods in table.items()]


def _plain(call: Callable[..., object]) -> Method:
    """A method whose answer is the plain data of a handler."""

    async def answer(content: Body, **parts: str) -> Answer:
        return Answer(200, json.dumps(call(**parts)).encode())

    return answer


class _Methods:
    """What is more than the plain data of a handler."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers, self._repository = handlers, handlers.repository

    async def live(self, content: Body) -> Answer:
        return Answer(200, headers=())

    async def ready(self, content: Body) -> Answer:
        if not self._handlers.ready:
            return refusal(RefusedError(503, "this server is shutting down"))
        return Answer(200, headers=())

    async def model_ready(self, content: Body, name: str, version: str | None = None) -> Answer:
        self._repository.find(name, version)
        return await self.ready(content)

    async def index(self, content: Body) -> Answer:
        wanted = _object(content).get("ready", False)
        if not isinstance(wanted, bool):
            raise InputError(f"ready: expected true or false, given {wanted!r}")
        return Answer(200, json.dumps(self._repository.index(wanted)).encode())

    async def load(self, content: Body, name: str) -> Answer:
        if _object(content).get("parameters"):
            raise InputError("load: this server takes no parameters; a model's configuration is its config.pbtxt")
        await self._repository.load(name)
        return Answer(200, headers=())

    async def unload(self, content: Body, name: str) -> Answer:
        _object(content)
        await self._repository.unload(name)
        return Answer(200, headers=())

    async def infer_nowhere(self, content: Body, name: str, version: str | None = None) -> Answer:
        self._repository.find(name, version)  # raises
        raise AssertionError(name)

    async def metrics(self, content: Body) -> Answer:
        from zoo.serving.metrics import text  # a fifth of the server's imports

        return Answer(200, text(self._repository.statistics), _PROMETHEUS)


def _object(content: Body) -> dict[str, object]:
    """A body that is empty or a JSON object."""
    if not len(content):
        return {}
    try:
        value = json.loads(bytes(content))
    except (ValueError, RecursionError):
        raise InputError("expected no body or a JSON object") from None
    if not isinstance(value, dict):
        raise InputError("expected no body or a JSON object")
    return value
