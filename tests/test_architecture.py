"""The rules of docs/architecture.md, checked on the sources."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final, TypeVar

import pytest

T = TypeVar("T", bound=ast.AST)
SOURCES = Path(__file__).resolve().parent.parent / "recrun"
MODELS = SOURCES.parent / "models"

LINE: Final = (
    ("version",),
    ("visible",),
    ("errors",),
    ("types",),
    ("row_filter",),
    ("group_name",),
    ("vector_files",),
    ("time_span",),
    ("files",),
    ("memory",),
    ("threads",),
    ("randomness",),
    ("registry",),
    ("config",),
    ("metrics",),
    ("data",),
    ("criterions", "architectures"),
    ("models",),
    ("evaluation",),
    ("recommendation",),
    ("exporting",),
    ("runs",),
    ("training",),
    ("report",),
    ("importing",),
    ("workflows",),
    ("serving",),
    ("sweep",),
    ("compare",),
    ("notebook",),
    ("upkeep",),
    ("cli",),
)
"""The rooms: each may import itself and those that stand before it or beside it."""

SEED_NAMES: Final = {"parser": "config", "dict2obj": "config", "launcher": "training", "utils": "files randomness"}
"""Modules that only hand on what lives in the rooms."""

CIRCLES: Final = ({"recrun.data.postprocessing.*"},)
"""Circles that still stand; an import between two modules of one is not followed."""


@cache
def _modules() -> dict[str, ast.Module]:
    files = [*SOURCES.rglob("*.py"), *MODELS.glob("*.py")]
    return {str(file.relative_to(SOURCES.parent)): ast.parse(file.read_text(encoding="utf-8")) for file in files}


def _dotted(path: str) -> str:
    parts = Path(path).with_suffix("").parts
    name = ".".join(parts if parts[0] == "recrun" else ("recrun", *parts))
    return name.removesuffix(".__init__")


def _imports(tree: ast.AST, *, only_runtime: bool = True) -> Iterator[str]:
    """Yield every module a source imports; with `only_runtime`, those for type checkers are left out."""
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


@cache
def _all_imports() -> dict[str, frozenset[str]]:
    return {name: frozenset(_imports(tree)) for name, tree in _modules().items()}


@cache
def _nodes(kind: type[T]) -> list[tuple[str, T]]:
    """Return all nodes of a kind, each with its file."""
    return [(name, node) for name, tree in _modules().items() for node in ast.walk(tree) if isinstance(node, kind)]


def _importers(package: str) -> set[str]:
    return {name for name, imports in _all_imports().items() if any(_within(found, package) for found in imports)}


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@cache
def _edges() -> list[tuple[str, str]]:
    """Return (importer, imported) over all modules of recrun, imports in functions and for type checkers included."""
    known = {_dotted(path) for path in _modules()}
    edges = [(_dotted(path), alias.name) for path, node in _nodes(ast.Import) for alias in node.names]
    for path, node in _nodes(ast.ImportFrom):
        names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module in known else []
        edges += [(_dotted(path), full if full in known else str(node.module)) for full in names]
    return [(importer, imported) for importer, imported in edges if imported in known]


def test_every_module_lies_in_a_room() -> None:
    rooms = {room for step in LINE for room in step} | set(SEED_NAMES) | {"", "__main__"}
    assert {_room(_dotted(path)) for path in _modules()} == rooms


def test_every_import_follows_the_line() -> None:
    step = {room: number for number, rooms in enumerate(LINE) for room in rooms}
    wrong = [
        f"{importer} -> {imported}"
        for importer, imported in _edges()
        if _room(importer) in step and _room(imported) != "" and step.get(_room(imported), 99) > step[_room(importer)]
    ]
    assert wrong == []


def test_no_room_imports_the_package_itself_which_hands_on_what_lies_in_the_last_ones() -> None:
    assert [importer for importer, imported in _edges() if imported == "recrun"] == []


def test_the_seeds_names_only_hand_on() -> None:
    for name, rooms in SEED_NAMES.items():
        tree = _modules()[f"recrun/{name}.py"]
        assert all(isinstance(node, (ast.Expr, ast.ImportFrom, ast.Assign)) for node in tree.body), name
        assert {_room(found) for importer, found in _edges() if importer == f"recrun.{name}"} == set(rooms.split())


def _in_one_known_circle(one: str, other: str) -> bool:
    def holds(circle: set[str], module: str) -> bool:
        return any(_within(module, name.removesuffix(".*")) for name in circle)

    return any(holds(circle, one) and holds(circle, other) for circle in CIRCLES)


def test_no_imports_go_in_circles() -> None:
    graph: dict[str, set[str]] = {}
    for importer, imported in _edges():
        if importer != imported and not _in_one_known_circle(importer, imported):
            graph.setdefault(importer, set()).add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_folder_holds_more_than_twenty_files_and_no_file_more_than_320_lines() -> None:
    for folder in [SOURCES, *(path for path in SOURCES.rglob("*") if path.is_dir() and path.name != "__pycache__")]:
        assert len(list(folder.glob("*.py"))) <= 20, folder
    sizes = {path: len((SOURCES.parent / path).read_text(encoding="utf-8").splitlines()) for path in _modules()}
    assert {path: lines for path, lines in sizes.items() if lines > 320} == LONG


LONG: Final[dict[str, int]] = {}
"""Files that are still too long."""


def test_no_function_has_more_than_60_lines_besides_its_docstring() -> None:
    long = {}
    for path, tree in _modules().items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None:
                lines = (
                    node.end_lineno - node.lineno + 1 - len((ast.get_docstring(node, clean=False) or "").split("\n"))
                )
                if lines > 60:
                    long[f"{path}:{node.name}"] = lines
    assert long == {}


def test_only_the_command_line_imports_click() -> None:
    assert all(name.startswith("recrun/cli/") for name in _importers("click"))


def test_only_the_command_line_reports_and_the_view_of_sweeps_import_rich() -> None:
    allowed = ("recrun/cli/", "recrun/report/terminal/", "recrun/sweep/view/")
    assert all(name.startswith(allowed) for name in _importers("rich"))


PRINTERS: Final = (
    "print",
    "click.echo",
    "click.secho",
    "sys.stdout.write",
    "sys.stderr.write",
    "sys.stdout.writelines",
)


def test_all_output_is_escaped_in_one_place() -> None:
    found = set()
    for name, node in _nodes(ast.Call):
        function = ast.unparse(node.func)
        is_ours = name == "recrun/report/terminal/console.py"
        is_drawn = function in ("Console", "Text", "Text.assemble", "Text.from_markup") and not is_ours
        if function in PRINTERS or is_drawn or function.startswith("traceback.print"):
            found.add((name, function))
    # A script's parser prints faults, whose text is escaped.
    assert found == {("recrun/config/parser.py", "sys.stderr.write")}


def test_only_the_config_room_reads_yaml() -> None:
    assert _importers("yaml") == {"recrun/config/yaml_dialect.py", "recrun/config/yaml_reader.py"}


@pytest.mark.parametrize("package", ["mlflow", "wandb", "trackio"])
def test_a_trackers_package_is_imported_by_its_tracker_alone_and_only_when_it_is_used(package: str) -> None:
    file = f"recrun/report/trackers/{package}.py"
    assert _importers(package) == {file}
    assert not [
        node for node in _modules()[file].body if isinstance(node, ast.Import) and node.names[0].name == package
    ]


@pytest.mark.parametrize(
    ("package", "file"), [("onnxruntime", "recrun/exporting/onnx.py"), ("faiss", "recrun/evaluation/item_index.py")]
)
def test_a_package_for_exports_is_imported_by_one_module_and_only_when_it_is_used(package: str, file: str) -> None:
    assert _importers(package) == {file}
    assert not [
        node for node in _modules()[file].body if isinstance(node, ast.Import) and node.names[0].name == package
    ]


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "httptools", "prometheus_client"])
def test_the_packages_of_the_server_are_imported_by_its_room_alone(package: str) -> None:
    assert all(name.startswith("recrun/serving/") for name in _importers(package))


def test_the_config_and_registry_rooms_import_neither_torch_nor_numpy() -> None:
    for package in ("torch", "numpy", "polars", "scipy"):
        assert not [name for name in _importers(package) if name.startswith(("recrun/config/", "recrun/registry/"))]


def test_only_the_workflows_and_what_users_call_know_how_a_run_is_built() -> None:
    allowed = ("recrun/cli/", "recrun/notebook/", "recrun/workflows/")
    assert all(name.startswith(allowed) for name in _importers("recrun.workflows.build"))


def test_the_coach_knows_neither_how_configs_are_resolved_nor_sweeps() -> None:
    found = set(_imports(_modules()["recrun/training/coach.py"]))
    for package in ("recrun.config.parser", "recrun.config.resolve", "recrun.config.find"):
        assert not any(_within(module, package) for module in found), package


def test_the_package_imports_no_model_by_name() -> None:
    importers = {name for name in _importers("recrun.models") if name.startswith("recrun/")}
    assert importers == set()


def test_a_model_file_holds_the_mathematics_only() -> None:
    allowed = ("torch", "numpy", "scipy", "math", "itertools", "typing", "collections", "__future__")
    ours = ("architectures", "data", "registry", "types", "errors", "memory", "models")
    for name, tree in _modules().items():
        if name.startswith("models/"):
            strange = [m for m in _imports(tree) if not any(_within(m, package) for package in allowed)]
            strange = [m for m in strange if _room(m) not in ours or not m.startswith("recrun.")]
            assert strange == [], name


def test_only_the_experiment_and_a_scripts_parser_seed() -> None:
    seeders = {
        name
        for name, node in _nodes(ast.Call)
        if ast.unparse(node.func)
        in ("torch.manual_seed", "np.random.seed", "random.seed", "seed_everything", "utils.seed_everything")
    }
    assert seeders <= {"recrun/workflows/build.py", "recrun/config/parser.py", "recrun/randomness.py"}


@pytest.mark.parametrize("word", ["eval", "exec", "compile"])
def test_nothing_is_evaluated_as_code(word: str) -> None:
    for name, node in _nodes(ast.Call):
        if isinstance(node.func, ast.Name):
            assert node.func.id != word, f"{name}:{node.lineno}"


def test_nothing_is_pickled_and_no_unsafe_loader_is_used() -> None:
    for package in ("pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"):
        assert _importers(package) == set()
    for name, node in _nodes(ast.Call):
        function = ast.unparse(node.func)
        assert function not in ("torch.load", "torch.save", "yaml.load", "yaml.unsafe_load"), f"{name}:{node.lineno}"
        pickles = [word for word in node.keywords if word.arg == "allow_pickle" and ast.unparse(word.value) != "False"]
        assert not pickles, f"{name}:{node.lineno}"


HEAVY = ("torch", "polars", "scipy", "matplotlib", "tensorboard", "rich", "numpy", "IPython")


@pytest.mark.parametrize(
    "package", ["recrun", "recrun.cli.main", "recrun.data", "recrun.data.datasets", "recrun.report", "recrun.sweep"]
)
def test_importing_a_package_imports_nothing_heavy(package: str) -> None:
    code = f"import sys, {package}; print([name for name in {HEAVY!r} if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
