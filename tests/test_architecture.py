"""The rules of docs/architecture.md, checked on the sources."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parent.parent / "recrun"
MODELS = SOURCES.parent / "models"


def _modules() -> dict[str, ast.Module]:
    files = [*SOURCES.rglob("*.py"), *MODELS.glob("*.py")]
    return {str(file.relative_to(SOURCES.parent)): ast.parse(file.read_text(encoding="utf-8")) for file in files}


def _imports(tree: ast.AST, *, only_runtime: bool = True) -> Iterator[str]:
    """Yield every module a source imports, those for type checkers left out."""
    for node in ast.iter_child_nodes(tree):
        if only_runtime and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from _imports(node, only_runtime=only_runtime)


def _importers(package: str) -> set[str]:
    return {name for name, tree in _modules().items() if any(_within(found, package) for found in _imports(tree))}


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def test_only_the_command_line_imports_click() -> None:
    assert all(name.startswith("recrun/cli/") for name in _importers("click"))


def test_only_the_command_line_and_reports_import_rich() -> None:
    assert all(name.startswith(("recrun/cli/", "recrun/report/")) for name in _importers("rich"))


def test_only_the_parsers_own_modules_read_yaml() -> None:
    assert _importers("yaml") == {"recrun/yamldialect.py", "recrun/yamlfile.py"}


def test_only_the_command_line_imports_it() -> None:
    assert all(name.startswith("recrun/cli/") or name == "recrun/__main__.py" for name in _importers("recrun.cli"))


def test_the_experiment_is_known_to_the_command_line_and_to_what_runs_again_alone() -> None:
    again = ("recrun/contract.py", "recrun/evaluation.py", "recrun/reproduce.py", "recrun/verify.py")
    assert all(name.startswith("recrun/cli/") or name in again for name in _importers("recrun.experiment"))


def test_the_launcher_knows_neither_configs_nor_sweeps() -> None:
    found = set(_imports(_modules()["recrun/launcher.py"]))
    for package in ("recrun.parser", "recrun.resolve", "recrun.sweep", "recrun.experiment", "recrun.cli"):
        assert not any(_within(module, package) for module in found), package


def test_the_package_imports_no_model_by_name() -> None:
    importers = {name for name in _importers("recrun.models") if name.startswith("recrun/")}
    assert importers == set()


def test_a_model_file_holds_the_mathematics_only() -> None:
    allowed = ("torch", "numpy", "scipy", "math", "itertools", "typing", "collections", "__future__")
    ours = (
        *("recrun.architectures", "recrun.data", "recrun.registry", "recrun.types", "recrun.errors", "recrun.models"),
        *("recrun.graph", "recrun.memory", "recrun.repeated", "recrun.sequences", "recrun.sparse"),
    )
    for name, tree in _modules().items():
        if name.startswith("models/"):
            strange = [m for m in _imports(tree) if not any(_within(m, package) for package in (*allowed, *ours))]
            assert strange == [], name


def test_only_the_experiment_and_a_scripts_parser_seed() -> None:
    seeders = {
        name
        for name, tree in _modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func)
        in ("torch.manual_seed", "np.random.seed", "random.seed", "seed_everything", "utils.seed_everything")
    }
    assert seeders <= {"recrun/experiment.py", "recrun/parser.py", "recrun/utils.py"}


@pytest.mark.parametrize("word", ["eval", "exec", "compile"])
def test_nothing_is_evaluated_as_code(word: str) -> None:
    for name, tree in _modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != word, f"{name}:{node.lineno}"


def test_nothing_is_pickled_and_no_unsafe_loader_is_used() -> None:
    for package in ("pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"):
        assert _importers(package) == set()
    for name, tree in _modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                function = ast.unparse(node.func)
                assert function not in ("torch.load", "torch.save", "yaml.load", "yaml.unsafe_load"), (
                    f"{name}:{node.lineno}"
                )
                pickles = [
                    word for word in node.keywords if word.arg == "allow_pickle" and ast.unparse(word.value) != "False"
                ]
                assert not pickles, f"{name}:{node.lineno}"


HEAVY = ("torch", "polars", "scipy", "matplotlib", "tensorboard", "rich", "numpy")


@pytest.mark.parametrize(
    "package", ["recrun", "recrun.cli.main", "recrun.data", "recrun.data.datasets", "recrun.report", "recrun.sweep"]
)
def test_importing_a_package_imports_nothing_heavy(package: str) -> None:
    code = f"import sys, {package}; print([name for name in {HEAVY!r} if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
