"""The site that ``make docs`` builds, in Chromium: the gallery, and a demonstration of each model that runs its graphs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from set_graphs import set_folder
from static_server import served

import zoo

SITE = Path(os.environ.get("PHYSZOO_SITE", ""))
if "PHYSZOO_SITE" not in os.environ or not Path(os.environ.get("CHROMIUM", "")).is_file():
    pytest.skip("needs the site and a Chromium: make docs", allow_module_level=True)


JETS = "tiny-jets"
"""A model of jets, which no released one is that the site shows."""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, with a page of one model more."""
    folder = tmp_path_factory.mktemp("with-jets")
    for path in (".", "_static", "_static/demos", "_made", "_made/models"):
        (folder / path).mkdir(exist_ok=True)
        for child in (SITE / path).iterdir():
            (folder / path / child.name).symlink_to(child.resolve())
            if child.name in ("_static", "demos", "_made", "models"):
                (folder / path / child.name).unlink()
    demo = set_folder(folder / "_static" / "demos" / JETS)
    described = json.loads((demo / "clients" / "model.json").read_text())
    described["endpoints"] = {"tag": described["endpoints"]["tag"]}
    (demo / "clients" / "model.json").write_text(json.dumps(described))
    rows = demo / "clients" / "tag" / "in" / "constituents.npy"
    np.save(rows, np.load(rows) * np.array([[1, 1, 1], [1.05, 1, 1], [1.1, 1, 1], [0.9, 1, 1]], "f4")[:, None])
    page = (SITE / "_made" / "models" / "mlp-jets.html").read_text()
    (folder / "_made" / "models" / f"{JETS}.html").write_text(page.replace('data-model="mlp-jets"', f'data-model="{JETS}"'))
    return folder


@pytest.fixture(scope="module")
def said(site, tmp_path_factory) -> dict:
    """What Chromium finds on the pages of all models and on the gallery, where there is nothing but this folder."""
    folder = tmp_path_factory.mktemp("site")
    web = Path(os.environ["PHYSZOO_WEB"])
    for module in ("site_pages.mjs", "web_browser.mjs"):
        shutil.copy(Path(__file__).with_name(module), web)  # where they find playwright-core
    with served(site) as address:
        command = ["node", web / "site_pages.mjs", address, folder, *zoo.list_models(), JETS]
        found = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout) | {"address": address}


@pytest.mark.parametrize("name", zoo.list_models())
def test_a_demonstration_checks_itself_and_follows_what_is_moved(said, name):
    outputs = sum(len(endpoint.outputs) for endpoint in zoo.get_spec(name).endpoints.values())
    of_model = said["models"][name]
    assert of_model["status"].startswith(f"{outputs} of {outputs} outputs as on the day of release")
    assert of_model["bad"] == []
    assert of_model["changed"]


def test_jets_are_drawn_with_their_particles(said):
    jet = said["models"][JETS]
    assert jet["status"].startswith("1 of 1 outputs")
    assert jet["bad"] == []
    assert jet["changed"]
    assert jet["particles"] == ["pt [GeV] 45", "pt [GeV] 27", "pt [GeV] 18"]  # of the last row


def test_sliders_move_latents_and_parameters(said):
    moved = {name for name, of_model in said["models"].items() if of_model["moved"]}
    assert moved >= {"ive-pendulum", "ive-halo-profile-3", "bvae-shapes3d", "mlp-cmb-emulator", "mlp-jets", "nsf-sbi-slcp"}


def test_the_gallery_shows_all_models_or_those_of_a_field(said):
    assert said["all"] == zoo.list_models()
    assert said["mechanics"] == [name for name in zoo.list_models() if "mechanics" in (zoo.get_spec(name).data.fields or [])]


def test_pages_ask_no_other_address_and_complain_of_nothing(said):
    assert said["complaints"] == []
    assert said["origins"] == [said["address"]]
