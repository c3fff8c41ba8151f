"""The package as it is installed: what it lists, what a wheel holds, and that it works outside the clone."""

from __future__ import annotations

import ast
import configparser
import json
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import recrun


def _metadata(repository: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(repository / "setup.cfg", encoding="utf-8")
    return parser


def test_the_list_of_packages_is_what_lies_on_the_disk(repository: Path) -> None:
    listed = set(_metadata(repository)["options"]["packages"].split())
    found = {
        ".".join(file.parent.relative_to(repository).parts) for file in (repository / "recrun").rglob("__init__.py")
    }
    for folder in ("models", "configs"):
        for file in (repository / folder).rglob("__init__.py"):
            found.add(".".join(("recrun", *file.parent.relative_to(repository).parts)))
    assert listed == found


def test_every_config_folder_is_package_data(repository: Path) -> None:
    data = _metadata(repository)["options.package_data"]
    for file in (repository / "configs").rglob("*.yaml"):
        package = ".".join(("recrun", *file.parent.relative_to(repository).parts))
        assert package in data, f"{file} would be missing from a wheel"


def test_what_is_imported_is_declared(repository: Path) -> None:
    declared = {
        line.partition(">")[0].strip().lower()
        for line in _metadata(repository)["options"]["install_requires"].split("\n")
    }
    names = {"yaml": "pyyaml", "annotated_types": "annotated-types", "typing_extensions": "typing-extensions"}
    for file in [*(repository / "recrun").rglob("*.py"), *(repository / "models").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or ""]
            for module in {name.partition(".")[0] for name in modules}:
                if module in sys.stdlib_module_names or module in ("recrun", ""):
                    continue
                assert names.get(module, module) in declared, f"{file}: {module}"


@pytest.mark.slow
def test_a_wheel_works_outside_the_clone(repository: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    for folder in ("recrun", "models", "configs"):
        shutil.copytree(repository / folder, clone / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / file, clone / file)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(clone)]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(tmp_path.glob("recrun-*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    assert {"recrun/models/bprmf.py", "recrun/configs/bprmf.yaml", "recrun/configs/gowalla/bprmf.yaml"} <= set(names)
    assert not [name for name in names if name.startswith(("models/", "configs/", "tests/"))]

    # The dependencies are those of this interpreter; recrun itself comes from the wheel alone.
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    site = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    paths = [path for path in sys.path if path.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(paths), encoding="utf-8")
    work = tmp_path / "work"
    work.mkdir()
    small = ["n_users=60", "n_items=40", "n_interactions=700", "epochs=1", "device=cpu"]
    command = [str(python), "-m", "recrun", "train", "bprmf", *small, "--json"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert (work / result["run"] / "metrics.json").is_file()
    where = subprocess.run(
        [str(python), "-c", "import recrun; print(recrun.__file__)"],
        cwd=work,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(site)


def test_the_version_is_the_changelogs(repository: Path) -> None:
    assert f"## {recrun.__version__}" in (repository / "CHANGELOG.md").read_text(encoding="utf-8")
