"""The package itself: light to import, with functions for notebooks that have the names of two of its packages."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import recrun

HEAVY = ("torch", "numpy", "polars", "scipy", "yaml", "rich", "click", "matplotlib", "IPython")


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_imports_nothing_but_a_few_small_modules() -> None:
    code = "import sys; before = set(sys.modules); import recrun; print(*sorted(set(sys.modules) - before))"
    imported = _run(code).split()
    assert {name.partition(".")[0] for name in imported} & set(HEAVY) == set()
    ours = [name for name in imported if name.startswith("recrun")]
    assert ours == ["recrun", "recrun.compare", "recrun.sweep", "recrun.version"]


def test_the_numbers_of_a_run_are_read_without_torch_and_polars(tmp_path: Path) -> None:
    recrun.train("popularity", dataset="Synthetic", runs=tmp_path, n_users=60, n_items=40, n_interactions=600, id="a")
    path = tmp_path / "popularity" / "Synthetic" / "a"
    code = f"import sys, recrun; run = recrun.load({str(path)!r}); run.metrics, run.config.seed, repr(run); "
    assert _run(code + "print([name for name in ('torch', 'polars') if name in sys.modules])") == "[]"


@pytest.mark.parametrize(
    "imports",
    [
        "import recrun",
        "import recrun.sweep.planning.plan; import recrun.compare.compare; import recrun",
        "from recrun.sweep.planning.study import Plan; from recrun.compare.compare import How; import recrun",
        "import recrun; recrun.sweep; recrun.compare; import recrun.sweep.planning.plan, recrun.compare.compare",
        "from recrun import sweep, compare; import recrun",
        "import importlib, recrun.sweep; importlib.reload(recrun.sweep); import recrun; importlib.reload(recrun)",
    ],
)
def test_sweep_and_compare_are_called_and_are_packages_in_every_order_of_imports(imports: str) -> None:
    code = f"""{imports}
import importlib, sys
for name in ("sweep", "compare"):
    package = getattr(recrun, name)
    assert package is sys.modules["recrun." + name] and callable(package)
    assert importlib.import_module(f"recrun.{{name}}.{{dict(sweep='planning.plan', compare='compare')[name]}}")
from recrun.sweep.planning.plan import plan_sweep
from recrun.compare.compare import compare_by
try:
    recrun.sweep(lr=1)
except recrun.errors.ConfigError as error:
    print(error)
try:
    recrun.compare([])
except recrun.errors.ConfigError as error:
    print(error)
"""
    assert _run(code).splitlines() == [
        "no setting has several values: give one a list, lr=[1e-3, 1e-4], or use recrun.train",
        "there is nothing to compare; give runs, sweeps, paths or conditions",
    ]


def test_a_package_that_is_called_shows_the_arguments_of_its_function() -> None:
    from recrun.notebook.study import sweep

    assert isinstance(recrun.sweep, ModuleType)
    assert inspect.signature(recrun.sweep) == inspect.signature(sweep)


def test_what_is_offered_can_be_listed_and_all_of_it_is_there() -> None:
    assert set(recrun.__all__) <= set(dir(recrun))
    for name in recrun.__all__:
        assert getattr(recrun, name) is not None
    assert recrun.Run is type(recrun.Run.__new__(recrun.Run))
    with pytest.raises(AttributeError, match="module 'recrun' has no attribute 'trian'"):
        recrun.trian  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.slow
def test_a_type_checker_knows_what_the_functions_return(tmp_path: Path, repository: Path) -> None:
    pytest.importorskip("mypy")
    script = tmp_path / "script.py"
    script.write_text(
        """
import recrun
from recrun.sweep.planning.plan import plan_sweep
from recrun.compare.compare import How

run = recrun.train("bprmf", epochs=1)
swept = recrun.sweep("bprmf", lr=[1e-3, 1e-4])
reveal_type(run)
reveal_type(swept.best.metrics)
reveal_type(recrun.compare([run, swept], baseline=run).tests)
reveal_type(recrun.load("runs/latest").recommend(3, k=5))
recrun.train("bprmf", runs=3)
"""
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file=", str(script)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=repository,
        env={"MYPYPATH": str(repository), "PATH": ""},
        check=False,
    )
    told = [line.partition("Revealed type is ")[2] for line in done.stdout.splitlines() if "Revealed" in line]
    frame = '"polars.dataframe.frame.DataFrame"'
    assert told == ['"recrun.notebook.run.Run"', '"dict[str, dict[str, float]]"', frame, frame], (
        done.stdout + done.stderr
    )
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 1, done.stdout
    assert 'Argument "runs" to "train"' in errors[0]
