"""The models at hand: found, loaded, switched and retired while requests are answered."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zoo.errors import IntegrityError, UnknownNameError, ZooError
from zoo.model.spec import Endpoint, onnx_file
from zoo.model.test_tensors import read_test_tensors
from zoo.serving.answer_size import AnswerSize
from zoo.serving.batching import Batcher, Policy
from zoo.serving.devices import Device, devices
from zoo.serving.graph import Graph
from zoo.serving.instances import InstanceGroup
from zoo.serving.layouts import UNREADABLE, Broken, Found, is_gone, look
from zoo.serving.padding import sizes_up_to
from zoo.serving.placement import place, warm_up
from zoo.serving.protocol import Codec
from zoo.serving.rejections import RefusedError
from zoo.serving.statistics import Statistics
from zoo.serving.trial import Trials
from zoo.serving.verify import must_reproduce
from zoo.serving.widening import widening_of

Control = Literal["none", "poll", "explicit"]
_log = logging.getLogger("zoo.serving")


@dataclass(frozen=True, eq=False)
class Served:
    """One version of one served model; requests that have it finish on it, whatever becomes of its name meanwhile."""

    found: Found
    graph: Graph
    batcher: Batcher
    statistics: Statistics
    codec: Codec
    answer_size: AnswerSize

    @property
    def name(self) -> str:
        """The name under which it is served."""
        return self.found.name

    @property
    def version(self) -> str:
        """The version of this name."""
        return self.found.version

    @property
    def endpoint(self) -> Endpoint:
        """Its tensors, as the spec describes them."""
        return self.found.spec.endpoints[self.found.endpoint]


class Repository:
    """Names and versions to loaded models. Only ``load_all`` may run outside the event loop.

    Parameters
    ----------
    sources : sequence of str or Path
        Where models come from, as ``zoo.serving.layouts.look`` takes them.
    pool : Executor
        Where graphs run on the CPU if they take long, and where those of the start are loaded.
    workers : int
        Graphs that may run there at once.
    policy : Policy
        How models are batched whose configuration does not say.
    control : {"none", "poll", "explicit"}
        As Triton's ``--model-control-mode``: what is there at the start; what is there now, looked at by ``poll``; or what
        clients load and unload, from nothing.
    device : str
        Where models run whose configuration does not say, as ``zoo.serving.devices.devices`` reads it.
    """

    def __init__(
        self,
        sources: Sequence[str | Path],
        pool: Executor,
        workers: int,
        policy: Policy,
        control: Control = "none",
        device: str = "auto",
    ) -> None:
        self._sources, self._pool, self._workers, self._policy = list(sources), pool, workers, policy
        self._device = device
        self._queues: dict[Device, Executor] = {}
        self.control = control
        self.statistics: dict[tuple[str, str], Statistics] = {}
        self._served: dict[str, dict[str, Served]] = {}
        self._by_path: dict[str, Served] = {}
        self._failed: dict[tuple[str, str], tuple[tuple[object, ...], str]] = {}
        self._known: dict[str, list[str]] = {}
        self._last: dict[str | Path, list[Found | Broken]] = {}
        self._unreadable: dict[str | Path, str] = {}
        self._changing = asyncio.Lock()
        self._trials = Trials()
        self.changed = asyncio.Event()
        """Set, and replaced by another, when what is served changes."""

    def load_all(self) -> None:
        """Load everything, verified on its test tensors; with explicit control nothing, but look at what there is.

        Raises
        ------
        UnknownNameError, IntegrityError, ReproductionError
            A model that was asked for is not there, is not the one that its spec describes, or does not answer as it did; or
            none of those in folders of models can be served, and none is to come.
        ZooError
            Two models of one name in two places that were asked for.
        """
        found = self._look(start=True)
        if self.control == "explicit":
            return
        graphs = sorted((item for item in found if isinstance(item, Found)), key=_size, reverse=True)  # the longest first
        loading = {item: self._pool.submit(self._load, item) for item in graphs}
        loaded: list[Served] = []
        errors: list[Exception] = []
        for item in found:
            try:
                loaded.append(_taken(item, lambda found: loading[found].result()))
            except Exception as error:
                if self.control == "none" and isinstance(item, Found) and item.named:
                    raise
                self._fail(item, error)
                errors.append(error)
        if self.control == "none" and not loaded:
            where = ", ".join(str(source) for source in self._sources)
            raise errors[0] if errors else IntegrityError(f"no model is in {where}: expected folders of models")
        self._trials.rest()
        self._switch(loaded, {served.name for served in loaded})

    def close(self) -> None:
        """Give up what is being loaded."""
        self._trials.close()

    def at(self, path: str) -> Served | None:
        """The model whose ``/infer`` is at this path."""
        return self._by_path.get(path)

    def find(self, name: str, version: str | None = None) -> Served:
        """One model, by default in its latest version; RefusedError (404) otherwise."""
        versions = self._served.get(name)
        if not versions:
            raise RefusedError(404, str(UnknownNameError("served model", name, self._served)))
        if not version:
            return next(reversed(versions.values()))
        if version not in versions:
            raise RefusedError(404, f"{name} is served in version {', '.join(versions)}, not {version}")
        return versions[version]

    def versions(self, name: str) -> list[str]:
        """The versions that are served of one model."""
        return list(self._served[name])

    def loaded(self) -> list[Served]:
        """Everything that is served."""
        return [served for name in sorted(self._served) for served in self._served[name].values()]

    def knows(self, name: str) -> bool:
        """Whether a model is served, or would be if it were loaded or whole."""
        return name in self._served or name in self._known

    def index(self, ready: bool = False) -> list[dict[str, str]]:
        """The protocol's index: what is served, and unless only that is asked for what is not and why."""
        rows = {(s.name, s.version): ("READY", "") for s in self.loaded()}
        if not ready:
            for key, (_, reason) in self._failed.items():
                rows.setdefault(key, ("UNAVAILABLE", reason))
            for name, versions in self._known.items():
                for version in versions:
                    rows.setdefault((name, version), ("UNAVAILABLE", "unloaded"))
        return [
            {"name": name, "version": version, "state": state, "reason": reason}
            for (name, version), (state, reason) in sorted(rows.items())
        ]

    async def load(self, name: str) -> None:
        """Load what is there now of one model, and retire what is not there any more.

        Raises
        ------
        RefusedError
            Loading is not the clients' business here (400), no such model (404), or it cannot be loaded (400).
        """
        self._only_explicit()
        async with self._changing:
            found = [item for item in await asyncio.to_thread(self._look) if item.name == name]
            if not found and self._unreadable:
                raise RefusedError(400, f"the repository cannot be read: {'; '.join(self._unreadable.values())}")
            if not found:
                raise RefusedError(404, str(UnknownNameError("model in the repository", name, self._known)))
            if errors := await self._update(found, {name}):
                raise RefusedError(400, f"{name} was not loaded: {'; '.join(errors)}")

    async def unload(self, name: str) -> None:
        """Retire all versions of a model; requests that are under way are answered. RefusedError as for ``load``.

        A model that is there and not loaded is unloaded already, as in Triton.
        """
        self._only_explicit()
        async with self._changing:
            if name not in self._served:
                await asyncio.to_thread(self._look)
                if name not in self._known:
                    raise RefusedError(404, str(UnknownNameError("model in the repository", name, self._known)))
            self._switch([], {name})

    async def poll(self) -> None:
        """Make what is served what is there now; what cannot be loaded is logged, and what it should replace stays."""
        async with self._changing:
            found = await asyncio.to_thread(self._look)
            names = {item.name for item in found} | self._served.keys() | {name for name, _ in self._failed}
            await self._update(found, names)

    def _only_explicit(self) -> None:
        if self.control != "explicit":
            raise RefusedError(400, "this server loads and unloads models only where it runs with --model-control explicit")

    def _look(self, *, start: bool = False) -> list[Found | Broken]:
        """What is there now; of two models of one name that which is served, else the first, and an error at the start."""
        gathered = [(number, item) for number, source in enumerate(self._sources) for item in self._in(source, start)]
        gathered.sort(key=lambda pair: not self._serves(pair[1]))
        found: list[Found | Broken] = []
        first: dict[tuple[str, str], int] = {}
        for number, item in gathered:
            key = item.name, item.version
            if key not in first:
                first[key] = number
                found.append(item)
                continue
            reason = ZooError(f"two of the models to serve answer to the name {item.name}; one is {item.folder}")
            if start and first[key] != number:
                raise reason
            found.append(Broken(str(item.folder), item.version, reason, item.stamp, item.folder))
        self._known = {}
        for item in found:
            self._known.setdefault(item.name, []).append(item.version)
        return found

    def _in(self, source: str | Path, start: bool) -> list[Found | Broken]:
        """What is in a source; at the start an error where it cannot be read, later ``Broken`` beside what it had."""
        self._unreadable.pop(source, None)
        try:
            items = self._last[source] = list(look(source, self._policy))
        except UNREADABLE as error:
            if start:
                raise
            self._unreadable[source] = str(error)
            reason = error if isinstance(error, ZooError) else IntegrityError(f"{source} cannot be read: {error}")
            broken = Broken(os.fspath(source), "", reason, (str(error),), Path(source))
            items = [broken, *(item for item in self._last.get(source, []) if not is_gone(item.folder))]
        return items

    def _serves(self, item: Found | Broken) -> bool:
        served = self._served.get(item.name, {}).get(item.version)
        return served is not None and served.found.folder == item.folder

    async def _update(self, found: Sequence[Found | Broken], names: set[str]) -> list[str]:
        """Load what is new or changed, keep the rest, and switch; the reasons of what could not be loaded."""
        kept: list[Served] = []
        errors: list[str] = []
        there = {(item.name, item.version) for item in found}
        self._failed = {key: value for key, value in self._failed.items() if key[0] not in names or key in there}
        for item in found:
            served = self._served.get(item.name, {}).get(item.version)
            if isinstance(item, Found) and served is not None and served.found.stamp == item.stamp:
                kept.append(served)
                continue
            if self.control == "poll" and self._failed.get((item.name, item.version), (None,))[0] == item.stamp:
                kept += self._instead(item, served)
                continue
            try:
                kept.append(await asyncio.to_thread(_taken, item, self._load))
                self._failed.pop((item.name, item.version), None)
                _log.info("loaded %s version %s", item.name, item.version)
            except Exception as error:  # one model must not hold up the others
                self._fail(item, error)
                errors.append(str(error))
                kept += self._instead(item, served)
        await asyncio.to_thread(self._trials.rest)
        self._switch(kept, names)
        return errors

    def _instead(self, item: Found | Broken, served: Served | None) -> list[Served]:
        """What goes on being served where something cannot be loaded and its files are there.

        The same version, or where that is new, all others of the model, or of the folder that cannot be read.
        """
        others = [
            one for one in self.loaded() if one.name == item.name or item.folder in (one.found.folder, one.found.folder.parent)
        ]
        return [one for one in ([served] if served is not None else others) if not is_gone(one.found.folder)]

    def _fail(self, item: Found | Broken, error: Exception) -> None:
        reason = str(error).encode(errors="replace").decode()  # names of files need not be text
        self._failed[item.name, item.version] = (item.stamp, reason)
        unexpected = None if isinstance(error, ZooError | OSError) else error
        _log.error("%s version %s is not served: %s", item.name, item.version or "(none)", reason, exc_info=unexpected)

    def _switch(self, served: Iterable[Served], names: set[str]) -> None:
        """From the next request on: these, and no others of these names."""
        fresh: dict[str, dict[str, Served]] = {}
        for one in sorted(set(served), key=lambda one: [int(part) for part in one.version.split(".")]):
            fresh.setdefault(one.name, {})[one.version] = one
        self._served = {name: versions for name, versions in self._served.items() if name not in names} | fresh
        self._by_path = {}
        for name, versions in self._served.items():
            self._by_path[f"/v2/models/{name}/infer"] = self.find(name)
            self._by_path |= {f"/v2/models/{name}/versions/{version}/infer": one for version, one in versions.items()}
        self.announce()

    def announce(self) -> None:
        """Wake those who wait for a change."""
        self.changed.set()
        self.changed = asyncio.Event()

    def _load(self, found: Found) -> Served:
        """Load, verify on the test tensors, and time a single row of them, which also warms up."""
        endpoint, policy = found.spec.endpoints[found.endpoint], found.policy or self._policy
        tensors = read_test_tensors(found.tensors(), found.spec, found.endpoint)[found.endpoint]
        inputs, source = tensors[0], found.graph()
        row = {name: array[:1] for name, array in inputs.items()}
        if not found.released:
            self._trials(source, inputs)
        graphs = place(source, endpoint, devices(policy.device or self._device), row=lambda: row, most=policy.max_batch)
        for graph in graphs:
            must_reproduce(found.name, found.spec, found.endpoint, tensors, graph)
        groups = [self._group(graph, policy) for graph in graphs]
        warm_up(groups, graphs[0], row, sizes_up_to(policy.max_batch) if len(groups) > 1 else [1])
        statistics = self.statistics.setdefault((found.name, found.version), Statistics())
        widening = widening_of(found.spec, found.endpoint, graphs[0].run, row)
        batcher = Batcher(found.name, groups, policy, statistics, graphs[0].free.values(), widening)
        return Served(found, graphs[0], batcher, statistics, Codec(found.name, found.version, endpoint), AnswerSize(endpoint))

    def _group(self, graph: Graph, policy: Policy) -> InstanceGroup:
        """Instances on the graph's device: on the CPU in the pool of all models, on another in one thread of its own.

        A second batch at a time on such a device would only wait for the first, and what is captured or bound holds one.
        """
        if graph.device.kind == "cpu":
            return InstanceGroup(
                graph.run, self._pool, policy.instances or self._workers, graph.device, inline=not graph.may_loop
            )
        queue = self._queues.setdefault(graph.device, ThreadPoolExecutor(1, thread_name_prefix=f"zoo-{graph.device}"))
        return InstanceGroup(graph.run, queue, policy.instances or 1, graph.device)


def _taken(item: Found | Broken, load: Callable[[Found], Served]) -> Served:
    if isinstance(item, Broken):
        raise item.reason
    return load(item)


def _size(found: Found) -> int:
    file = found.spec.file(onnx_file(found.endpoint))
    return 0 if file is None else file.bytes
