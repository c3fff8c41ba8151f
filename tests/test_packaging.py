"""The package as it is installed: what it lists, what a wheel holds, and that it works outside the clone."""

from __future__ import annotations

import ast
import configparser
import json
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import Final

import pytest

import recrun
from recrun.config.resolve import resolve


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
    metadata = _metadata(repository)
    extras = [text for name, text in metadata["options.extras_require"].items() if name != "dev"]
    lines = "\n".join([metadata["options"]["install_requires"], *extras]).split("\n")
    declared = {line.partition(">")[0].strip().lower() for line in lines}
    names = {
        "yaml": "pyyaml",
        "faiss": "faiss-cpu",
        "mlflow": "mlflow-skinny",
        "annotated_types": "annotated-types",
        "typing_extensions": "typing-extensions",
    }
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


FOLDERS: Final = ("recrun", "models", "configs", "tests", "docs", "examples", "benchmarks")


def _build(kind: str, tree: Path, out: Path) -> Path:
    """Build a "wheel" or an "sdist" with the setuptools of this interpreter, and return the file."""
    pytest.importorskip("setuptools")
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(out)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl" if kind == "wheel" else "*.tar.gz"))


@pytest.fixture(scope="module")
def sdist(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    for name in FOLDERS:
        shutil.copytree(repository / name, folder / "clone" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in repository.iterdir():
        if file.is_file() and (not file.name.startswith(".") or file.name == ".dockerignore"):
            shutil.copy(file, folder / "clone")
    with tarfile.open(_build("sdist", folder / "clone", folder)) as archive:
        archive.extractall(folder / "unpacked", **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return next((folder / "unpacked").iterdir())


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the sdist."""
    return _build("wheel", sdist, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with recrun from the wheel alone; the dependencies are those of the interpreter that runs this."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    site = next(folder.glob("lib/python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    paths = [path for path in sys.path if path.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(paths), encoding="utf-8")
    return folder / "bin" / "python"


@pytest.mark.slow
def test_a_wheel_works_outside_the_clone(repository: Path, wheel: Path, python: Path, tmp_path: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"recrun/models/bprmf.py", "recrun/configs/bprmf.yaml", "recrun/configs/gowalla/bprmf.yaml"} <= set(names)
    templates = (repository / "recrun" / "workflows" / "templates").iterdir()
    assert {f"recrun/workflows/templates/{file.name}" for file in templates} <= set(names)
    assert not [name for name in names if name.startswith(("models/", "configs/", "tests/"))]

    small = ["n_users=60", "n_items=40", "n_interactions=700", "epochs=1", "device=cpu"]
    command = [str(python), "-m", "recrun", "train", "bprmf", *small, "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert (tmp_path / result["run"] / "metrics.json").is_file()
    subprocess.run([str(python), "-m", "recrun", "new", "model", "my_mf"], cwd=tmp_path, check=True)
    assert resolve(tmp_path / "my_mf.yaml").config.model.endswith(":MyMf")
    code = "import recrun; print(recrun.__file__)"
    where = subprocess.run([str(python), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(where.stdout.strip()).is_relative_to(python.parent.parent)


@pytest.mark.slow
def test_an_sdist_holds_the_clone(repository: Path, sdist: Path) -> None:
    def files(top: Path, folder: str) -> set[str]:
        found = {file.relative_to(top).as_posix() for file in (top / folder).rglob("*") if file.is_file()}
        return {name for name in found if not name.endswith(".pyc")}

    for folder in FOLDERS:
        assert files(sdist, folder) == files(repository, folder)
    tops = {
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        "README.md",
        "constraints.txt",
        "constraints-lowest.txt",
        "constraints-browser.txt",
        "constraints-jupyter.txt",
        "constraints-trackers.txt",
        "constraints-engines.txt",
        "MANIFEST.in",
        "Dockerfile",
        ".dockerignore",
    }
    assert tops | {"pyproject.toml", "setup.cfg", "setup.py"} <= {file.name for file in sdist.iterdir()}


@pytest.mark.slow
def test_the_tests_of_an_sdist_pass(sdist: Path, python: Path, tmp_path: Path) -> None:
    some = ["test_errors.py", "test_architecture.py", "test_docs.py", "registry", "config/test_find.py"]
    command = [str(python), "-m", "pytest", "-q", "-c", str(sdist / "setup.cfg"), "--rootdir", str(sdist)]
    command += ["-p", "no:cacheprovider", "-m", "not slow", *(str(sdist / "tests" / name) for name in some)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_lowest_versions_of_searches_and_engines_are_those_that_are_tested(repository: Path) -> None:
    lines = (repository / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==", 1) for line in lines if "==" in line and ";" not in line)
    extras = _metadata(repository)["options.extras_require"]
    bounds = [line.split(">=") for extra in ("search", "ray", "slurm") for line in extras[extra].split()]
    assert {name for name, _ in bounds} == {"cmaes", "optuna", "ray", "submitit"}
    assert [name for name, bound in bounds if not re.fullmatch(rf"{re.escape(bound)}(\.0)*", pins[name])] == []


def test_the_readme_of_an_index_page_has_no_relative_links(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    command = [sys.executable, "setup.py", "--quiet", "--long-description"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    links = re.findall(r"\]\(([^)\s]+)\)", done.stdout)
    assert [link for link in links if not link.startswith("https://")] == []
    sources = _metadata(repository)["metadata"]["project_urls"].split()
    base = next(url for url in sources if url.startswith("https://")) + "/blob/main/"
    here = [link.removeprefix(base).partition("#")[0] for link in links if link.startswith(base)]
    assert len(here) > 10
    assert [path for path in here if not (repository / path).exists()] == []


def test_the_version_is_the_changelogs(repository: Path) -> None:
    assert f"## {recrun.__version__}" in (repository / "CHANGELOG.md").read_text(encoding="utf-8")
