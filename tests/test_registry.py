from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from format_1 import to_format_1
from tiny_folder import make_model_folder

from zoo.errors import IntegrityError, UnknownNameError, ZooError
from zoo.model import registry
from zoo.model.model_json import read_summary
from zoo.model.registry import find_folder, get_family, get_spec, list_models, register_family, register_path


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two released models, and two on ZOO_PATH of which one has a released name."""
    cards = tmp_path / "cards"
    make_model_folder(cards / "mlp-coins", name="mlp-coins")
    make_model_folder(cards / "ive-swing", name="ive-swing", family="ive", task="representation")
    mine = tmp_path / "mine"
    make_model_folder(mine / "own-model", name="own-model", family="flow")
    make_model_folder(mine / "mlp-coins", name="mlp-coins", summary="not the released one", family="flow")
    make_model_folder(mine / ".half-written", name="half-written")
    (mine / "no-model").mkdir()
    monkeypatch.setattr(registry, "RELEASED", cards)
    monkeypatch.setattr(registry, "entry_points", lambda group: ())
    monkeypatch.setenv("ZOO_PATH", str(mine))
    return mine


@pytest.mark.usefixtures("models")
class TestNames:
    def test_all_are_listed_once_and_sorted(self) -> None:
        assert list_models() == ["ive-swing", "mlp-coins", "own-model"]

    def test_filters(self) -> None:
        assert list_models("*-coins") == ["mlp-coins"]
        assert list_models("IVE-*") == []
        assert list_models(task="binary-classification") == ["mlp-coins", "own-model"]
        assert list_models(family="ive", task="representation") == ["ive-swing"]
        assert list_models("mlp-*", family="ive") == []
        assert list_models(family="flow") == ["own-model"]

    def test_an_unknown_filter_suggests(self) -> None:
        with pytest.raises(UnknownNameError, match=r"task named 'binary-clasification'; did you mean binary-classification"):
            list_models(task="binary-clasification")
        with pytest.raises(UnknownNameError, match=r"family named 'zzzz'; known: flow, ive, tiny"):
            list_models(family="zzzz")

    def test_a_released_name_keeps_its_meaning(self) -> None:
        assert get_spec("mlp-coins").summary == "A model made up for tests."

    def test_an_unknown_name_suggests(self) -> None:
        with pytest.raises(UnknownNameError, match=r"no model named 'mlp-coin'; did you mean mlp-coins"):
            get_spec("mlp-coin")

    def test_a_folder_of_that_name_is_pointed_at(self, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(models)
        monkeypatch.delenv("ZOO_PATH")
        with pytest.raises(ZooError, match=r"'\./own-model'"):
            get_spec("own-model")

    def test_a_deprecated_name_warns_and_works(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(registry.DEPRECATED, "old-coins", "mlp-coins")
        with pytest.warns(FutureWarning, match="'old-coins' was given up; 'mlp-coins' takes its place"):
            assert get_spec("old-coins").name == "mlp-coins"
        assert "old-coins" not in list_models()

    def test_a_broken_spec_is_left_out_with_a_warning(self, models: Path) -> None:
        (models / "own-model" / "model.json").write_text("{}")
        with pytest.warns(UserWarning, match=r"own-model.*not a valid spec"):
            assert list_models() == ["ive-swing", "mlp-coins"]
        with pytest.raises(IntegrityError, match="own-model"):
            get_spec("own-model")

    def test_a_list_reads_model_json_alone(self, models: Path) -> None:
        for file in (models / "own-model").iterdir():
            if file.name != "model.json":
                file.unlink()
        assert list_models("own-*") == ["own-model"]
        assert registry.summaries("own-*")[0].metric.name == "auc"

    def test_a_spec_of_another_name_is_refused(self, models: Path) -> None:
        (models / "own-model").rename(models / "other-name")
        with pytest.warns(UserWarning, match="'other-name' but describes 'own-model'"):
            assert list_models() == ["ive-swing", "mlp-coins"]
        with pytest.raises(IntegrityError, match="'other-name' but describes 'own-model'"):
            get_spec("other-name")

    def test_a_changed_spec_is_read_again(self, models: Path) -> None:
        assert get_spec("own-model").revision == "1"
        make_model_folder(models / "own-model", name="own-model", revision="22")
        assert get_spec("own-model").revision == "22"

    def test_the_first_folder_of_the_path_wins(self, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        other = tmp_path / "other"
        make_model_folder(other / "own-model", name="own-model")
        monkeypatch.setenv("ZOO_PATH", os.pathsep.join([str(other), "", str(models)]))
        assert find_folder("own-model") == other / "own-model"

    def test_an_empty_folder_on_the_path_warns(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ZOO_PATH", str(tmp_path / "typo"))
        with pytest.warns(UserWarning, match="ZOO_PATH.*typo"):
            assert list_models() == ["ive-swing", "mlp-coins"]

    def test_a_folder_is_registered_by_the_name_in_it(
        self, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(registry, "_registered", {})
        make_model_folder(tmp_path / "a folder", name="tuned-coins")
        assert register_path(tmp_path / "a folder") == "tuned-coins" == register_path(tmp_path / "a folder")
        assert list_models() == ["ive-swing", "mlp-coins", "own-model", "tuned-coins"]
        assert find_folder("tuned-coins") == tmp_path / "a folder"
        with pytest.raises(ZooError, match="is a released model"):
            register_path(models / "mlp-coins")
        with pytest.raises(ZooError, match=r"^mine: 'mlp-coins' is a released model"):
            registry.refuse_released_name("mlp-coins", "mine")
        registry.refuse_released_name("tuned-coins", "mine")
        make_model_folder(tmp_path / "another", name="tuned-coins")
        with pytest.raises(ZooError, match="a folder is registered as 'tuned-coins'"):
            register_path(tmp_path / "another")
        with pytest.raises(IntegrityError, match="nowhere"):
            register_path(tmp_path / "nowhere")

    def test_installed_packages_bring_models(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make_model_folder(tmp_path / "lab_models" / "lab_net", name="lab-net")
        make_model_folder(tmp_path / "lab_models" / "lab_cnn", name="lab-cnn")
        (tmp_path / "lab_models" / "__init__.py").write_text(
            "from pathlib import Path\nCNN = Path(__file__).parent / 'lab_cnn'\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        points = (
            EntryPoint("lab-net", "lab_models.lab_net", "zoo.models"),
            EntryPoint("lab-cnn", "lab_models:CNN", "zoo.models"),
            EntryPoint("gone", "lab_models.gone", "zoo.models"),
        )
        monkeypatch.setattr(registry, "entry_points", lambda group: points if group == "zoo.models" else ())
        with pytest.warns(UserWarning, match="entry point gone"):
            assert get_spec("lab-net").name == "lab-net"
        with pytest.warns(UserWarning, match="entry point gone"):
            assert list_models("lab-*") == ["lab-cnn", "lab-net"]

    def test_an_installed_package_may_bring_many_models(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("lab-tree", "lab-flow"):
            make_model_folder(tmp_path / "lab_many" / name, name=name)
        to_format_1(tmp_path / "lab_many" / "lab-flow")
        (tmp_path / "lab_many" / "__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(registry, "entry_points", lambda group: (EntryPoint("lab", "lab_many", group),))
        assert list_models("lab*") == ["lab-flow", "lab-tree"]
        assert find_folder("lab-tree") == tmp_path / "lab_many" / "lab-tree"

    def test_a_path_that_only_its_package_knows_is_asked_for_by_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_model_folder(tmp_path / "data" / "v1", name="lab-net")
        (tmp_path / "lab_elsewhere.py").write_text(f"NET = {str(tmp_path / 'data' / 'v1')!r}\n")
        monkeypatch.syspath_prepend(tmp_path)
        point = EntryPoint("lab-net", "lab_elsewhere:NET", "zoo.models")
        monkeypatch.setattr(registry, "entry_points", lambda group: (point,) if group == "zoo.models" else ())
        with pytest.warns(UserWarning, match=r"entry point lab-net = lab_elsewhere:NET .* not run for a list"):
            assert list_models("lab-*") == []
        with pytest.warns(UserWarning, match="not run for a list"):
            assert find_folder("lab-net") == tmp_path / "data" / "v1"


PLUGINS = """
[zoo.models]
bad-exit = bad_exit:MODEL
bad-loop = bad_loop
bad-death = bad_death.models
good-net = good_net.good_net

[zoo.families]
bad-exit = bad_exit:Family
bad-death = bad_death:Family
"""


@pytest.mark.timeout(120)
def test_packages_are_imported_only_when_their_name_is_asked_for(tmp_path: Path) -> None:
    """Installed packages that exit, end the process or never return when they are imported."""
    for name, code in (
        ("bad_exit", "raise SystemExit(3)"),
        ("bad_loop", "while True: pass"),
        ("bad_death", "import os; os._exit(4)"),
        ("good_net", "raise RuntimeError('not needed for a list')"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(code)
    make_model_folder(tmp_path / "good_net" / "good_net", name="good-net")
    (tmp_path / "bad-1.0.dist-info").mkdir()
    (tmp_path / "bad-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n")
    (tmp_path / "bad-1.0.dist-info" / "entry_points.txt").write_text(PLUGINS)
    code = (
        "import sys; sys.path.append(sys.argv[1]); from zoo.model import registry; print(*registry.list_models('*-net'))\n"
        "registry._import_families = lambda: None\n"
        "for ask in (registry.get_spec, registry.get_family):\n"
        "    try: ask('bad-exit')\n"
        "    except registry.UnknownNameError as error: print(error)\n"
        "print(sorted(sys.modules.keys() & {'bad_exit', 'bad_loop', 'bad_death', 'good_net'}))"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    listed, *unknown, imported = run.stdout.splitlines()
    assert (listed, imported) == ("good-net", "[]")
    assert [line[:30] for line in unknown] == ["no model named 'bad-exit'; kno", "no family named 'bad-exit'; di"]
    assert "cannot be loaded: SystemExit(3)" in run.stderr


def test_a_folder_that_cannot_be_read_is_left_out(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong with it costs a warning, and never the list."""

    def read(folder: Path) -> registry.Summary:
        if folder.name == "own-model":
            raise RecursionError("something that nobody thought of")
        return read_summary(folder)

    monkeypatch.setattr(registry, "read_summary", read)
    registry._summary.cache_clear()
    with pytest.warns(UserWarning, match="left out of the list: .*own-model cannot be read: RecursionError"):
        assert list_models() == ["ive-swing", "mlp-coins"]


def test_a_user_that_there_is_not(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PATH", f"~nosuchuser/models{os.pathsep}{models}")
    with pytest.warns(UserWarning, match="ZOO_PATH: '~nosuchuser/models' cannot be read: .*no user of that name"):
        assert "own-model" in list_models()
    with pytest.raises(ZooError, match=r"^~nosuchuser/x: there is no user of that name"):
        register_path("~nosuchuser/x")
    with pytest.raises(ZooError, match=r"^expected a path, given None$"):
        register_path(None)  # type: ignore[arg-type]


class TestFamilies:
    @pytest.fixture(autouse=True)
    def _own_families(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "_families", {})
        monkeypatch.setattr(registry, "_import_families", lambda: None)

    def test_registered_and_found(self) -> None:
        @register_family("mine")
        class Mine: ...

        assert get_family("mine") is Mine

    def test_a_second_class_is_refused_but_the_same_may_be_defined_again(self) -> None:
        def define() -> type:
            @register_family("mine")
            class Mine: ...

            return Mine

        define()
        again = define()
        assert get_family("mine") is again
        with pytest.raises(ValueError, match="two families are named 'mine'"):
            register_family("mine")(int)
        assert get_family("mine") is again

    def test_an_unknown_family_suggests(self) -> None:
        register_family("logistic")(int)
        with pytest.raises(UnknownNameError, match="family named 'logistics'; did you mean logistic"):
            get_family("logistics")


class TestFamilyModules:
    @pytest.fixture
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """A stand-in for zoo.families, so that Keras is not imported."""
        import zoo.families

        monkeypatch.setattr(zoo.families, "__path__", [str(tmp_path)])
        monkeypatch.setattr(registry, "_families", {})
        monkeypatch.setattr(registry, "entry_points", lambda group: ())
        registry._import_families.cache_clear()
        yield tmp_path
        registry._import_families.cache_clear()
        for name in ("zoo.families.fake", "zoo.families.deep", "zoo.families.deep.inner"):
            sys.modules.pop(name, None)

    def test_all_modules_are_imported_when_a_family_is_asked_for(self, package: Path) -> None:
        define = "from zoo.model.registry import register_family\n@register_family({!r})\nclass F: ...\n"
        (package / "fake.py").write_text(define.format("fake"))
        (package / "deep").mkdir()
        (package / "deep" / "__init__.py").touch()
        (package / "deep" / "inner.py").write_text(define.format("inner"))
        assert get_family("inner").__module__ == "zoo.families.deep.inner"
        assert get_family("fake").__module__ == "zoo.families.fake"

    def test_without_keras_the_extra_is_named(self, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (package / "fake.py").write_text("import keras\n")
        monkeypatch.setitem(sys.modules, "keras", None)
        with pytest.raises(ZooError, match=r"needs keras.*pip install 'physzoo\[train\]'"):
            get_family("fake")

    def test_families_of_other_packages(self, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        elsewhere = tmp_path / "site-packages"
        elsewhere.mkdir()
        (elsewhere / "lab_family.py").write_text(
            "from zoo.model.registry import register_family\n@register_family('lab')\nclass Lab: ...\n"
        )
        monkeypatch.syspath_prepend(elsewhere)
        monkeypatch.setattr(
            registry,
            "entry_points",
            lambda group: (EntryPoint("lab", "lab_family", group),) if group == "zoo.families" else (),
        )
        assert get_family("lab").__name__ == "Lab"


def test_listing_is_light() -> None:
    """Neither the frameworks nor the libraries that only some calls need are imported for a list of models."""
    code = (
        "import sys; import zoo.model.registry, zoo.model.store; zoo.model.registry.list_models();"
        "heavy = {'tensorflow', 'keras', 'torch', 'jax', 'numpy', 'yaml', 'huggingface_hub', 'pooch'};"
        "print(*sorted(heavy & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
