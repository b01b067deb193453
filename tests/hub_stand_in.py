"""Stands in for the Hugging Face Hub: repositories are folders."""

from __future__ import annotations

import shutil
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace


class Hub:
    """What of ``HfApi`` the zoo calls; ``root`` holds the repositories."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        if repo_id.startswith("nobody/"):
            raise OSError("403 Forbidden")
        (self.root / repo_id).mkdir(parents=True, exist_ok=exist_ok)

    def upload_folder(self, *, repo_id: str, folder_path: Path, allow_patterns: list[str], commit_message: str):
        for path in folder_path.rglob("*"):
            inner = path.relative_to(folder_path)
            if path.is_file() and any(fnmatch(str(inner), pattern) for pattern in allow_patterns):
                (self.root / repo_id / inner).parent.mkdir(exist_ok=True)
                shutil.copy(path, self.root / repo_id / inner)
        return SimpleNamespace(oid="c0ffee")

    def snapshot_download(self, repo_id: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        assert revision in (None, "c0ffee")
        return str(self.root / repo_id)
