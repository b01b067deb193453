"""The Hugging Face Hub on this machine, as far as its own library asks for it: repositories, commits, LFS files, tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

TOKEN = "hf_of_the_stand_in"
LFS = (".h5", ".onnx", ".npz", ".png")


@dataclass
class Repository:
    """Each commit as contents by path, the newest last."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def head(self) -> str:
        return next(reversed(self.commits), "")

    def commit(self, files: dict[str, bytes]) -> str:
        """A commit of these files over those of before."""
        whole = self.commits.get(self.head, {}) | files
        digests = [f"{path} {hashlib.sha256(content).hexdigest()}" for path, content in sorted(whole.items())]
        oid = hashlib.sha1(json.dumps([len(self.commits), *digests]).encode()).hexdigest()
        self.commits[oid] = whole
        return oid


class Hub:
    """What it holds, and how it behaves.

    Attributes
    ----------
    repositories : dict
        Repositories by owner/name.
    stored : dict
        LFS objects by sha256.
    breaks : list of int
        After how many bytes each of the next downloads of an LFS object breaks, if it is longer; none at all: error 500.
    ranges : list of str
        The ranges of LFS objects that were asked for; "" for all of one.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.stored: dict[str, bytes] = {}
        self.breaks: list[int] = []
        self.ranges: list[str] = []


@contextmanager
def hub_stand_in(patch: pytest.MonkeyPatch, cache: Path) -> Iterator[Hub]:
    """A stand-in to which the Hub's library turns, with its cache in a folder; who asks has the token that may write."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    for name, value in (("ENDPOINT", address), ("HF_HUB_CACHE", str(cache)), ("HF_HUB_DISABLE_XET", True)):
        patch.setattr(f"huggingface_hub.constants.{name}", value)
    template = "{endpoint}/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template.replace("{endpoint}", address))
    patch.setenv("HF_TOKEN", TOKEN)
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    server: ThreadingHTTPServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if not self._known():
            return self._refuse(401, "Invalid username or password.")
        if self.path == "/api/repos/create":
            return self._create(json.loads(body))
        if match := re.fullmatch(r"/api/models/(.+?/.+?)/(preupload|commit)/main", self.path):
            return getattr(self, f"_{match[2]}")(match[1], body)
        if self.path.endswith(".git/info/lfs/objects/batch"):
            return self._batch(json.loads(body)["objects"])
        return self._refuse(404, f"no {self.path} here")

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        assert hashlib.sha256(content).hexdigest() == self.path.removeprefix("/lfs/")
        self.hub.stored[self.path.removeprefix("/lfs/")] = content
        self._send(200, b"")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.path.startswith("/lfs/"):
            return self._object(self.hub.stored[self.path.removeprefix("/lfs/")])
        path = self.path.partition("?")[0]
        match = re.fullmatch(r"(?:/api/models)?/([^/]+/[^/]+)(?:/(revision|tree|resolve)/([^/]+)(?:/(.*))?)?", path)
        repository = match and self.hub.repositories.get(match[1])
        if not repository or (repository.private and not self._known()):
            return self._refuse(401, "Invalid username or password.", "RepoNotFound")
        commit = repository.head if match[3] in (None, "main") else match[3]
        if commit not in repository.commits:
            return self._refuse(404, f"Invalid rev id: {commit}", "RevisionNotFound")
        files = repository.commits[commit]
        if match[2] == "resolve":
            return self._resolve(files[match[4]], match[4], commit)
        if match[2] == "tree":
            return self._json([_entry(path, content) for path, content in files.items()])
        siblings = [{"rfilename": path} for path in files]
        return self._json({"id": match[1], "sha": commit, "private": repository.private, "siblings": siblings})

    def _known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _create(self, asked: dict) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] == "nobody":
            return self._refuse(403, "You don't have the rights to create a model under the namespace nobody")
        if name in self.hub.repositories:
            return self._json({"url": f"/{name}"}, 409)
        private = asked.get("visibility") == "private" or asked.get("private") is True
        self.hub.repositories[name] = Repository(private)
        return self._json({"url": f"http://{self.headers['Host']}/{name}"})

    def _preupload(self, name: str, body: bytes) -> None:
        files = [file["path"] for file in json.loads(body)["files"]]
        modes = {path: "lfs" if path.endswith(LFS) else "regular" for path in files}
        self._json({"files": [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes.items()]})

    def _batch(self, objects: list[dict]) -> None:
        def place(oid: str) -> dict:
            return {"actions": {"upload": {"href": f"http://{self.headers['Host']}/lfs/{oid}"}}}

        found = [one | ({} if one["oid"] in self.hub.stored else place(one["oid"])) for one in objects]
        self._json({"transfer": "basic", "objects": found})

    def _commit(self, name: str, body: bytes) -> None:
        files = {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.stored[value["oid"]]
        oid = self.hub.repositories[name].commit(files)
        self._json({"success": True, "commitOid": oid, "commitUrl": f"http://{self.headers['Host']}/{name}/commit/{oid}"})

    def _resolve(self, content: bytes, path: str, commit: str) -> None:
        entry = _entry(path, content)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{entry["oid"]}"', "Accept-Ranges": "bytes"}
        if "lfs" not in entry:
            return self._send(200, content, headers)
        oid = entry["lfs"]["oid"]
        place = f"http://localhost:{self.server.server_port}/lfs/{oid}"  # of another host, as at the Hub
        linked = {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(content)), "Location": place}
        return self._send(302, b"", headers | linked)

    def _object(self, content: bytes) -> None:
        """An LFS object, or the rest of it, or as much as comes before the connection breaks."""
        if self.command == "HEAD":
            return self._send(200, content)
        asked = self.headers.get("Range", "")
        self.hub.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-") or 0)
        rest = content[start:]
        if not self.hub.breaks or self.hub.breaks[0] > len(rest):
            span = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if asked else {}
            return self._send(206 if asked else 200, rest, span)
        if not (most := self.hub.breaks.pop(0)):
            return self._refuse(500, "Internal Error")
        self.send_response(200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[:most])
        self.close_connection = True
        return None

    def _refuse(self, status: int, message: str, code: str = "") -> None:
        self._json({"error": message}, status, {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {}))

    def _json(self, content: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _entry(path: str, content: bytes) -> dict:
    """A file as a tree of the Hub lists it; the oid is that of git."""
    oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry = {"type": "file", "path": path, "size": len(content), "oid": oid}
    if path.endswith(LFS):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry
