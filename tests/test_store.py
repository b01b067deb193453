from __future__ import annotations

import gzip
import hashlib
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import BinaryIO
from unittest.mock import Mock

import huggingface_hub
import pytest
from tiny_folder import make_model_folder

import zoo
from zoo.data import shipped_files
from zoo.errors import InputError, IntegrityError, UnknownNameError, ZooError
from zoo.model import download, integrity, registry
from zoo.model.spec import METRICS, RANGES, SPEC, WEIGHTS
from zoo.model.store import locate

CONTENT = bytes(range(256)) * 4096  # 1 MiB, several chunks of a download


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_model_folder(tmp_path / "model", files={WEIGHTS: CONTENT})
    return tmp_path / "model"


class TestFolder:
    @pytest.mark.parametrize("spelling", ["path", "absolute", "dotted", "nested", "home"])
    def test_found(self, folder: Path, spelling: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder.parent)
        monkeypatch.setenv("HOME", str(folder.parent))
        where: dict[str, str | Path] = {
            "path": Path("model"),
            "absolute": str(folder),
            "dotted": "./model",
            "nested": f"../{folder.parent.name}/model",
            "home": "~/model",
        }
        found = locate(where[spelling])
        assert found.spec.name == "tiny-model"
        assert found.folder.samefile(folder)
        assert found.path(WEIGHTS).read_bytes() == CONTENT

    def test_no_spec(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="nothing: there is no such file or folder, expected the folder of a model"):
            locate(tmp_path / "nothing")
        (tmp_path / "nothing").mkdir()
        with pytest.raises(IntegrityError, match=r"nothing.model\.json"):
            locate(tmp_path / "nothing")

    def test_a_file_the_card_does_not_list(self, folder: Path) -> None:
        (folder / "extra.onnx").write_bytes(b"x")
        with pytest.raises(
            UnknownNameError, match=r"file of tiny-model named 'model\.weights\.h'; did you mean model\.weights\.h5"
        ):
            locate(folder).path("model.weights.h")
        with pytest.raises(UnknownNameError):
            locate(folder).path("extra.onnx")
        with pytest.raises(UnknownNameError):
            locate(folder).path("../model/model.weights.h5")

    def test_missing(self, folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        with pytest.raises(IntegrityError, match=r"model\.weights\.h5: missing"):
            locate(folder).path(WEIGHTS)

    def test_truncated(self, folder: Path) -> None:
        (folder / WEIGHTS).write_bytes(CONTENT[:-1])
        with pytest.raises(IntegrityError, match=r"model\.weights\.h5: expected 1048576 bytes, found 1048575"):
            locate(folder).path(WEIGHTS)

    @pytest.mark.parametrize("at", [0, 777_777, -1])
    def test_a_flipped_bit(self, folder: Path, at: int) -> None:
        damaged = bytearray(CONTENT)
        damaged[at] ^= 1
        (folder / WEIGHTS).write_bytes(damaged)
        expected, found = (hashlib.sha256(content).hexdigest()[:16] for content in (CONTENT, damaged))
        with pytest.raises(IntegrityError, match=rf"model\.weights\.h5: expected sha256 {expected}\.\.\., found {found}"):
            locate(folder).path(WEIGHTS)

    def test_a_file_is_hashed_once_but_again_after_a_change(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        digest = Mock(wraps=hashlib.file_digest)
        monkeypatch.setattr(hashlib, "file_digest", digest)
        locate(folder).path(WEIGHTS)
        locate(folder).path(WEIGHTS)
        assert digest.call_count == 1
        (folder / WEIGHTS).write_bytes(CONTENT[:-1] + b"x")
        with pytest.raises(IntegrityError, match="sha256"):
            locate(folder).path(WEIGHTS)

    def test_a_link_out_of_the_folder_is_refused(self, folder: Path) -> None:
        outside = folder.parent / "outside.h5"
        (folder / WEIGHTS).rename(outside)
        (folder / WEIGHTS).symlink_to(outside)
        with pytest.raises(IntegrityError, match=r"model\.weights\.h5 is a link that leaves"):
            locate(folder).path(WEIGHTS)

    def test_a_link_inside_the_folder_is_fine(self, folder: Path) -> None:
        (folder / WEIGHTS).rename(folder / "v1.h5")
        (folder / WEIGHTS).symlink_to("v1.h5")
        assert locate(folder).path(WEIGHTS).read_bytes() == CONTENT

    @pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
    def test_what_is_not_a_plain_file_is_refused(self, folder: Path, make) -> None:
        (folder / WEIGHTS).unlink()
        make(folder / WEIGHTS)
        with pytest.raises(IntegrityError, match="not a plain file"):
            locate(folder).path(WEIGHTS)


@dataclass
class Mirror:
    """A web server over a folder that can be slow, drop a connection half-way or be down."""

    root: Path
    url: str = ""
    requests: list[str] = field(default_factory=list)
    send_only: int | None = None
    pause: float = 0.0
    status: int = 200
    hostile: str = ""


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A released model whose weights are on the mirror only, its earlier revision too; cache empty."""
    state = Mirror(tmp_path / "mirror")
    make_model_folder(state.root / "big" / "1", name="big", files={WEIGHTS: b"first weights"})
    first = hashlib.sha256((state.root / "big" / "1" / SPEC).read_bytes()).hexdigest()
    make_model_folder(
        state.root / "big" / "2", name="big", revision="2", files={WEIGHTS: CONTENT}, earlier_revisions={"1": first}
    )
    released = tmp_path / "released"
    shutil.copytree(state.root / "big" / "2", released / "big")
    (released / "big" / WEIGHTS).unlink()
    monkeypatch.setattr(registry, "RELEASED", released)
    monkeypatch.setattr(registry, "entry_points", lambda group: ())

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(self.path)
            file = state.root / self.path.lstrip("/")
            if state.status != 200 or not file.is_file():
                self.send_error(state.status if state.status != 200 else 404)
                return
            content = file.read_bytes()
            if state.hostile:
                misbehave(self.wfile, state.hostile)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            for start in range(0, len(content), 2**16):
                if state.send_only is not None and start >= state.send_only:
                    return
                self.wfile.write(content[start : start + 2**16])
                time.sleep(state.pause)

        def log_message(self, *args: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    monkeypatch.setattr(server, "handle_error", lambda *args: None)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ZOO_MIRROR", state.url + "/")
    yield state
    server.shutdown()
    server.server_close()


def misbehave(stream: BinaryIO, how: str) -> None:
    """Answer as a hostile mirror does, until the client has gone."""
    ok = b"HTTP/1.1 200 OK\r\n"
    if how == "gzip":
        bomb = gzip.compress(bytes(2**24))
        stream.write(ok + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb)
    elif how == "endless":
        stream.write(ok + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            stream.write(b"10000\r\n" + bytes(2**16) + b"\r\n")
    elif how == "too long":
        stream.write(ok + b"Content-Length: 1000000000000\r\n\r\n" + bytes(2**16))
    elif how == "too short":
        stream.write(ok + b"Content-Length: 4\r\n\r\nevil")
    else:
        stream.write(ok + (b"Content-Length: 1048576\r\n\r\n" if how == "drip" else b""))
        for number in range(40):
            time.sleep(0.1)
            stream.write(b"x" if how == "drip" else b"X-%d: y\r\n" % number if how == "slow head" else b"")
            stream.flush()


def cached(tmp_path: Path, revision: str = "2") -> Path:
    return tmp_path / "cache" / "big" / revision / WEIGHTS


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


class TestReleased:
    def test_the_package_comes_first_then_the_mirror_then_the_cache(self, mirror: Mirror, tmp_path: Path) -> None:
        found = locate("big")
        assert found.path(METRICS).parent == tmp_path / "released" / "big"
        assert mirror.requests == []
        assert found.path(WEIGHTS) == cached(tmp_path)
        assert cached(tmp_path).read_bytes() == CONTENT
        assert mirror.requests == ["/big/2/model.weights.h5"]
        integrity._verified.clear()  # as a new process
        mirror.status = 500
        assert locate("big@2").path(WEIGHTS) == cached(tmp_path)
        assert len(mirror.requests) == 1

    def test_works_offline_once_cached(self, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        locate("big").path(WEIGHTS)
        locate("big@1").path(WEIGHTS)
        integrity._verified.clear()
        monkeypatch.delenv("ZOO_MIRROR")
        assert locate("big").path(WEIGHTS).read_bytes() == CONTENT
        assert locate("big@1").path(WEIGHTS).read_bytes() == b"first weights"

    def test_without_a_mirror_the_error_says_what_to_set(self, mirror: Mirror, tmp_path: Path, monkeypatch) -> None:
        for value, shown in (("", "not set"), ("file:///srv", "file:///srv"), ("/srv", "/srv")):
            monkeypatch.setenv("ZOO_MIRROR", value)
            said = rf"model\.weights\.h5 of big@2.*cache.*physzoo\[models\].*ZOO_MIRROR.*big/2/.*now {shown}"
            with pytest.raises(IntegrityError, match=said):
                locate("big").path(WEIGHTS)

    def test_damage_in_the_package_is_refused(self, mirror: Mirror, tmp_path: Path) -> None:
        (tmp_path / "released" / "big" / METRICS).write_bytes(b"{}")
        with pytest.raises(IntegrityError, match=r"released.big.metrics\.json: expected \d+ bytes, found 2"):
            locate("big").path(METRICS)
        assert mirror.requests == []

    @pytest.mark.parametrize("damaged", [CONTENT[:-5], b"x" + CONTENT[1:], b""])
    def test_damage_in_the_cache_is_named_and_repaired(self, mirror: Mirror, tmp_path: Path, damaged: bytes) -> None:
        locate("big").path(WEIGHTS)
        cached(tmp_path).write_bytes(damaged)
        with pytest.warns(UserWarning, match=r"model\.weights\.h5: expected sha256 .*again"):
            assert locate("big").path(WEIGHTS).read_bytes() == CONTENT

    def test_damage_in_the_cache_without_a_mirror_is_refused(self, mirror: Mirror, tmp_path: Path, monkeypatch) -> None:
        locate("big").path(WEIGHTS)
        cached(tmp_path).write_bytes(CONTENT[:-5])
        monkeypatch.delenv("ZOO_MIRROR")
        with pytest.raises(IntegrityError, match=r"cache.*model\.weights\.h5: expected sha256"):
            locate("big").path(WEIGHTS)

    def test_a_mirror_with_other_content_leaves_nothing(self, mirror: Mirror, tmp_path: Path) -> None:
        (mirror.root / "big" / "2" / WEIGHTS).write_bytes(b"evil" * 2**18)
        with pytest.raises(IntegrityError, match=r"(?s)big/2/model\.weights\.h5 could not be brought.*hash"):
            locate("big").path(WEIGHTS)
        assert files_below(tmp_path / "cache") == []

    def test_an_installed_package_has_what_the_folder_lacks(self, mirror: Mirror, tmp_path: Path, monkeypatch) -> None:
        """The package is like physzoo-models: weights beside no spec, which are taken for what they hash to."""
        package = tmp_path / "big_models"
        (package / "big").mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "big" / WEIGHTS).write_bytes(CONTENT)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(registry, "entry_points", lambda group: (EntryPoint("big-models", "big_models", group),))
        assert registry.list_models() == ["big"]
        assert locate("big").path(WEIGHTS) == package / "big" / WEIGHTS
        assert mirror.requests == []
        (package / "big" / WEIGHTS).write_bytes(b"of another version")
        with pytest.warns(UserWarning, match="another version"):
            assert locate("big").path(WEIGHTS) == cached(tmp_path)

    def test_a_dropped_connection_leaves_nothing(self, mirror: Mirror, tmp_path: Path) -> None:
        mirror.send_only = 2**18
        with pytest.raises(IntegrityError, match="could not be brought"):
            locate("big").path(WEIGHTS)
        assert files_below(tmp_path / "cache") == []
        mirror.send_only = None
        assert locate("big").path(WEIGHTS).read_bytes() == CONTENT

    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ("gzip", "expected 1048576 bytes, the mirror sends"),
            ("endless", "expected 1048576 bytes, the mirror sends more"),
            ("too long", "expected 1048576 bytes, the mirror sends more"),
            ("too short", "expected 1048576 bytes, the mirror sends 4"),
            ("drip", "did not arrive within 0.3 s"),
            ("slow head", "did not arrive within 0.3 s"),
            ("silence", "did not arrive within 0.3 s"),
        ],
    )
    def test_a_hostile_mirror(self, mirror: Mirror, tmp_path: Path, monkeypatch, how: str, message: str) -> None:
        """Bounded by the size that the card states and by a total time; nothing of it is left."""
        if "within" in message:
            monkeypatch.setattr(download, "PATIENCE", 0.3)
            monkeypatch.setattr(download, "SLOWEST", 1e12)
        mirror.hostile = how
        with pytest.raises(IntegrityError, match=f"could not be brought to .*{message}"):
            locate("big").path(WEIGHTS)
        assert files_below(tmp_path / "cache") == []

    def test_the_spec_of_an_earlier_revision_is_bounded(self, mirror: Mirror, tmp_path: Path) -> None:
        """Of it only the sha256 is known."""
        (mirror.root / "big" / "1" / SPEC).write_bytes(bytes(2**21 + 1))
        with pytest.raises(IntegrityError, match="expected at most 2097152 bytes, the mirror sends more"):
            locate("big@1")
        assert files_below(tmp_path / "cache") == []

    def test_what_a_killed_download_left_is_removed_by_the_next(self, mirror: Mirror, tmp_path: Path) -> None:
        mirror.pause = 0.2
        process = start_fetch(tmp_path)
        deadline = time.monotonic() + 120
        while not any(file.stat().st_size > 0 for file in files_below(tmp_path / "cache")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
        process.communicate()
        assert not cached(tmp_path).exists()
        assert len(files_below(tmp_path / "cache")) == 1
        mirror.pause = 0.0
        assert locate("big").path(WEIGHTS).read_bytes() == CONTENT
        assert files_below(tmp_path / "cache") == [cached(tmp_path)]

    @pytest.mark.parametrize("status", [404, 500])
    def test_a_mirror_that_refuses_is_named(self, mirror: Mirror, tmp_path: Path, status: int) -> None:
        mirror.status = status
        with pytest.raises(IntegrityError, match=f"{mirror.url}.*{status}"):
            locate("big").path(WEIGHTS)
        assert files_below(tmp_path / "cache") == []

    def test_no_server(self, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ZOO_MIRROR", "http://127.0.0.1:9")
        with pytest.raises(IntegrityError, match="could not be brought"):
            locate("big").path(WEIGHTS)

    def test_a_full_disk_leaves_nothing(self, mirror: Mirror, tmp_path: Path) -> None:
        # Writing past the limit fails as on a full disk.
        limit = (
            "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, 2**18))"
        )
        _, errors = start_fetch(tmp_path, limit).communicate(timeout=60)
        assert "IntegrityError" in errors
        assert "could not be brought" in errors
        assert files_below(tmp_path / "cache") == []

    def test_a_cache_that_cannot_be_written_is_named(self, mirror: Mirror, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("in the way")
        with pytest.raises(IntegrityError, match=r"could not be brought to .*cache"):
            locate("big").path(WEIGHTS)

    def test_several_processes_at_once(self, mirror: Mirror, tmp_path: Path) -> None:
        mirror.pause = 0.1
        processes = [start_fetch(tmp_path) for _ in range(3)]
        while any(process.poll() is None for process in processes):
            # Whatever is there under the file's name is whole.
            assert not cached(tmp_path).exists() or cached(tmp_path).read_bytes() == CONTENT
            time.sleep(0.01)
        assert {process.communicate()[0].strip() for process in processes} == {hashlib.sha256(CONTENT).hexdigest()}
        assert files_below(tmp_path / "cache") == [cached(tmp_path)]
        assert mirror.requests.count("/big/2/model.weights.h5") > 1  # they did meet


def start_fetch(tmp_path: Path, prelude: str = "pass") -> subprocess.Popen[str]:
    """Another process that fetches the weights and prints their sha256."""
    code = (
        f"{prelude}\n"
        "import hashlib, pathlib, zoo.model.registry, zoo.model.store\n"
        f"zoo.model.registry.RELEASED = pathlib.Path({str(tmp_path / 'released')!r})\n"
        f"weights = zoo.model.store.locate('big').path({WEIGHTS!r})\n"
        "print(hashlib.sha256(weights.read_bytes()).hexdigest())\n"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class TestRevisions:
    def test_the_packaged_one_by_number(self, mirror: Mirror) -> None:
        assert locate("big@2").spec == locate("big").spec

    def test_an_earlier_one_comes_from_the_mirror(self, mirror: Mirror, tmp_path: Path) -> None:
        found = locate("big@1")
        assert (found.spec.name, found.spec.revision) == ("big", "1")
        assert found.path(WEIGHTS) == cached(tmp_path, "1")
        assert found.path(WEIGHTS).read_bytes() == b"first weights"
        assert mirror.requests == ["/big/1/model.json", "/big/1/ranges.npz", "/big/1/model.weights.h5"]

    def test_a_spec_of_another_hash_is_refused(self, mirror: Mirror, tmp_path: Path) -> None:
        with (mirror.root / "big" / "1" / SPEC).open("a") as file:
            file.write(" ")
        with pytest.raises(IntegrityError, match=r"big/1/model\.json"):
            locate("big@1")
        assert files_below(tmp_path / "cache") == []

    def test_an_unknown_one_names_the_known(self, mirror: Mirror) -> None:
        with pytest.raises(UnknownNameError, match=r"no revision of big named '7'; known: 1, 2"):
            locate("big@7")

    def test_a_spec_of_another_model_under_a_known_hash_is_refused(self, mirror: Mirror, tmp_path: Path) -> None:
        make_model_folder(mirror.root / "big" / "1", name="other")
        first = hashlib.sha256((mirror.root / "big" / "1" / SPEC).read_bytes()).hexdigest()
        make_model_folder(tmp_path / "released" / "big", name="big", revision="2", earlier_revisions={"1": first})
        with pytest.raises(IntegrityError, match="describes other@1, expected big@1"):
            locate("big@1")


class TestNames:
    @pytest.fixture
    def mine(self, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        make_model_folder(tmp_path / "mine" / "own", name="own")
        monkeypatch.setenv("ZOO_PATH", str(tmp_path / "mine"))
        return tmp_path / "mine"

    def test_on_the_path(self, mine: Path) -> None:
        assert locate("own").path(WEIGHTS) == mine / "own" / WEIGHTS
        assert locate("own@1").spec.name == "own"
        with pytest.raises(UnknownNameError, match="revision of own named '2'; known: 1"):
            locate("own@2")

    def test_what_the_path_lacks_is_not_asked_of_the_mirror(self, mine: Path, mirror: Mirror) -> None:
        (mine / "own" / WEIGHTS).unlink()
        with pytest.raises(IntegrityError, match="missing"):
            locate("own").path(WEIGHTS)
        assert mirror.requests == []

    def test_a_released_name_wins_with_a_warning(self, mine: Path, tmp_path: Path) -> None:
        make_model_folder(mine / "big", name="big", summary="an impostor")
        with pytest.warns(UserWarning, match=r"'big' is the released model; for the one on ZOO_PATH write '.*mine.big'"):
            assert locate("big").folder == tmp_path / "released" / "big"

    def test_unknown(self, mine: Path) -> None:
        with pytest.raises(UnknownNameError, match="no model named 'bigg'; did you mean big"):
            locate("bigg")
        with pytest.raises(UnknownNameError):
            locate("")

    def test_deprecated(self, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(registry.DEPRECATED, "large", "big")
        with pytest.warns(FutureWarning, match="'large' was given up; 'big' takes its place"):
            assert locate("large@1").spec.name == "big"


class TestHub:
    def test_a_snapshot_with_its_links_is_read(self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # As the hub's cache lays it out: snapshots/<commit>/<file> links to blobs/<hash>.
        snapshot = tmp_path / "hub" / "models--lab--net" / "snapshots" / "abc"
        blobs = snapshot.parents[1] / "blobs"
        snapshot.mkdir(parents=True)
        folder.rename(blobs)
        for file in blobs.iterdir():
            (snapshot / file.name).symlink_to(Path("../../blobs") / file.name)
        patterns: list[str] = []
        asked: dict[str, object] = {}

        def download(repository: str, *, allow_patterns: list[str], **options: object) -> str:
            patterns.extend(allow_patterns)
            asked.update(options, repository=repository)
            return str(snapshot)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
        found = locate("hf://lab/net@v1")
        assert (asked["repository"], asked["revision"]) == ("lab/net", "v1")
        assert "README.md" in patterns
        assert not any(pattern.endswith(("*", ".py", ".pkl")) for pattern in patterns)
        assert found.path(WEIGHTS).read_bytes() == CONTENT
        (snapshot / RANGES).unlink()
        (snapshot / RANGES).symlink_to("/etc/hostname")
        with pytest.raises(IntegrityError, match="leaves"):
            locate("hf://lab/net@v1")
        (snapshot / RANGES).unlink()
        (snapshot / RANGES).symlink_to(Path("../../blobs") / RANGES)
        (snapshot / METRICS).unlink()
        (snapshot / METRICS).symlink_to("/etc/hostname")
        with pytest.raises(IntegrityError, match="leaves"):
            found.path(METRICS)
        assert locate("hf://lab/net")
        assert asked["revision"] is None

    def test_no_network_is_a_clear_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: object, **options: object) -> str:
            raise huggingface_hub.errors.LocalEntryNotFoundError("cannot reach the hub")

        monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
        with pytest.raises(ZooError, match="hf://lab/net could not be fetched: cannot reach the hub"):
            locate("hf://lab/net")

    @pytest.mark.parametrize(
        "address",
        [
            "hf://net",
            "hf://lab/net/x",
            "hf://lab/net@",
            "hf:///net",
            "hf://lab/net@../../..",
            "hf://lab/net@refs/../../x",
            "hf://lab/net@/etc",
            "hf://lab/net@a//b",
            "hf://../net",
            "hf://lab/..",
            "hf://lab/.hidden",
        ],
    )
    def test_a_wrong_address(self, address: str) -> None:
        with pytest.raises(ZooError, match="expected hf://owner/name"):
            locate(address)


def test_shipped_data_lie_here_or_in_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shipped_files.shipped_file("halo-mass.npz").parent == shipped_files.FOLDER
    monkeypatch.setattr(shipped_files, "FOLDER", tmp_path / "shipped")
    monkeypatch.setattr(registry, "entry_points", lambda group: ())
    with pytest.raises(ZooError, match=r"halo-mass\.npz is not on this machine: pip install 'physzoo\[models\]'"):
        shipped_files.shipped_file("halo-mass.npz")
    package = tmp_path / "many_models"
    (package / "shipped").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "shipped" / "halo-mass.npz").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "entry_points", lambda group: (EntryPoint("many", "many_models", group),))
    assert shipped_files.shipped_file("halo-mass.npz") == package / "shipped" / "halo-mass.npz"


def test_a_folder_without_a_model_is_said_to_be_none(tmp_path):
    """Such as one of runs, or one that is empty."""
    with pytest.raises(IntegrityError, match=r"model\.json: there is no such file: .* is not the folder of a model"):
        zoo.load(tmp_path)


def test_a_terminal_shows_a_line_of_a_spec_and_of_a_folder():
    found = locate("mlp-cmb-feature")
    for shown in (found, found.spec):
        assert len(repr(shown)) < 400
        assert "mlp-cmb-feature" in repr(shown)
    assert "endpoints=['predict']" in str(repr(found.spec))
    assert repr(found.spec.endpoint("predict").inputs[0]).startswith(
        "Tensor(name='spectrum', shape=[215], dtype='float32', unit='muK^2'"
    )
    assert "inputs={'spectrum': [215]}, outputs={'probability': [1]}" in repr(found.spec.endpoint("predict"))
    assert re.match(r"Metric\(name='auc', value=0\.\d{1,6}, interval=\(0\.\d{1,6}, 0\.\d{1,6}\),", repr(found.spec.metrics[0]))
    for described in (*found.spec.metrics, *found.spec.endpoints.values(), *found.spec.endpoint("predict").tensors):
        assert len(repr(described)) < 300
