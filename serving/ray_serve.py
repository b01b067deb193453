"""The server on a Ray cluster: its ASGI application in replicas that Ray Serve starts, scales and balances.

Takes ``pip install 'physzoo[cpu,serve,ray]'`` on every machine of the cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.serve import Application

from zoo.serving.asgi import AsgiApp
from zoo.serving.batching import Policy
from zoo.serving.server import Settings, create_app

# Ray's own default of 5 would leave the batcher nothing to join.
_AT_ONCE = Policy.max_queue


def deployment(models: Sequence[str | Path] = (), settings: Settings | None = None, **options: Any) -> Application:
    """REST for ``ray.serve.run``; gRPC is not part of it.

    Each replica loads the models on its own machine and takes requests once they have reproduced their test tensors. Loading,
    unloading and statistics by REST reach one replica, whichever Ray picks: with several, let them poll.

    Parameters
    ----------
    models : sequence of str or Path
        Models as ``Server`` takes them; folders must be there, under the same path, on every machine.
    settings : Settings, optional
        Settings of the server, by default the usual ones; ``workers`` None means as many as the replica has CPUs.
    **options : Any
        Options of ``ray.serve.deployment``: ``num_replicas``, ``ray_actor_options``, ``autoscaling_config``, ...

    Returns
    -------
    Application
        What ``ray.serve.run`` takes.

    Examples
    --------
    >>> ray.serve.run(deployment(["mlp-cmb-feature"], num_replicas=4))  # doctest: +SKIP
    """

    def build() -> AsgiApp:
        chosen = settings or Settings()
        cpus = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
        return create_app(models, replace(chosen, workers=chosen.workers or max(1, int(cpus))))

    options = {"name": "physzoo", "max_ongoing_requests": _AT_ONCE} | options
    return serve.deployment(serve.ingress(build)(), **options).bind()
