"""What `recrun doctor` finds: packages that are old, broken, crash or hang, folders, threads, locks."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from recrun.upkeep.doctor import folders, machine, packages
from recrun.upkeep.doctor.asking import ask
from recrun.upkeep.doctor.examine import examine
from recrun.upkeep.doctor.finding import Finding, guarded
from recrun.upkeep.doctor.packages import Requirement, read_requirement

BROKEN = {
    "raising": "raise ImportError('no libfoo.so.1\\n\\x1b[31m')",
    "leaving": "raise SystemExit(3)",
    "crashing": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "printing": 'print(\'{"ends": "sound", "error": "forged"}\')',
    "sound": "",
}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Modules that are broken in several ways, where Python finds them."""
    for name, source in BROKEN.items():
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def _one(findings: Iterable[Finding], name: str) -> Finding:
    (found,) = [each for each in findings if each.name == name]
    return found


def test_a_module_that_raises_exits_or_crashes_is_an_answer_and_the_others_are_asked(modules: Path) -> None:
    answers = ask(list(BROKEN))
    assert "no libfoo.so.1" in answers["raising"]["error"]
    assert answers["leaving"]["error"] == f"{modules / 'leaving.py'}: SystemExit: 3"
    assert answers["crashing"]["error"] == "the process ended by signal 11"
    assert "error" not in answers["printing"]
    assert "error" not in answers["sound"]


def test_a_module_that_hangs_is_given_up(modules: Path) -> None:
    (modules / "hanging.py").write_text("import time; time.sleep(60)", encoding="utf-8")
    answers = ask(["sound", "hanging", "raising"], timeout=2.0)
    assert answers["hanging"]["error"] == "no answer within 2 s"
    assert "error" not in answers["sound"]
    assert "libfoo" in answers["raising"]["error"]


@pytest.mark.parametrize("source", ["raise RuntimeError('bad\\x1b[31m build')", "import os; os._exit(9)"])
def test_doctor_says_which_package_is_broken_and_how_to_mend_it(tmp_path: Path, source: str) -> None:
    for name in ("rich", "numpy"):
        (tmp_path / "path" / name).mkdir(parents=True)
        (tmp_path / "path" / name / "__init__.py").write_text(source, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "path")}
    command = [sys.executable, "-m", "recrun", "doctor"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    (rich,) = [number for number, line in enumerate(lines) if line.startswith("! rich")]
    assert "cannot be imported: " in lines[rich]
    assert "\x1b" not in done.stdout
    assert "-m pip install --force-reinstall 'rich>=14.3'" in lines[rich + 1]
    assert any(line.startswith("! numpy") for line in lines)
    assert any(line.startswith("  click") for line in lines)
    assert "problems (!)" in lines[-1]


def test_doctor_prints_json(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "recrun", "doctor", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["ok"] is True
    areas = ["versions", "devices", "threads", "arithmetic", "folders", "terminal", "extras", "trust"]
    assert list(dict.fromkeys(each["area"] for each in document["findings"])) == areas
    names = {each["name"] for each in document["findings"]}
    assert {"recrun", "python", "torch", "numpy", "memory", "cores", "cache", "TMPDIR", "locks", "zstd"} <= names
    assert [path.name for path in tmp_path.iterdir()] == [], "it leaves nothing behind"


@pytest.mark.parametrize(
    ("text", "package", "shown", "extra"),
    [
        ("click>=8.1.7", "click", "click>=8.1.7", ""),
        ("mlflow<4,>=2.0; extra == 'mlflow'", "mlflow", "mlflow<4,>=2.0", "mlflow"),
        ('coverage[toml]>=7.4; extra == "dev"', "coverage", "coverage>=7.4", "dev"),
        ('a>=1; python_version < "9" and extra == "x"', "a", "a>=1", "x"),
        ("plain", "plain", "plain", ""),
    ],
)
def test_requirements_are_read(text: str, package: str, shown: str, extra: str) -> None:
    found = read_requirement(text)
    assert found is not None
    assert (found.package, str(found), found.extra) == (package, shown, extra)


def test_a_requirement_of_another_python_is_none_of_this_one() -> None:
    assert read_requirement('old>=1; python_version < "3"') is None


@pytest.mark.parametrize(
    ("bounds", "found", "is_met"),
    [
        (((">=", "2.4"),), "2.13.0+cpu", True),
        (((">=", "2.4"),), "2.3.9", False),
        (((">=", "2.4"),), "2.4", True),
        (((">=", "3.0"),), "3.0rc1", True),
        (((">=", "1"), ("<", "3")), "3.0", False),
        (((">=", "1"), ("<", "3")), "2.99", True),
        ((("~=", "1.4.2"),), "1.4.9", True),
        ((("~=", "1.4.2"),), "1.5", False),
        ((("!=", "1.5.*"),), "1.5.3", False),
        ((("==", "1.5.*"),), "1.5.3", True),
        ((("==", "1.5"),), "1.5.0", True),
    ],
)
def test_versions_are_compared_by_their_numbers(bounds: tuple[tuple[str, str], ...], found: str, is_met: bool) -> None:
    assert Requirement("x", bounds).is_met_by(found) == is_met


def test_versions_that_are_too_old_or_missing_are_problems_with_a_command() -> None:
    needed = [Requirement("click", ((">=", "99"),)), Requirement("no-such-package", ()), Requirement("rich", ())]
    findings = list(packages.check_versions(needed, {"rich": {}}))
    old, missing = _one(findings, "click"), _one(findings, "no-such-package")
    assert (old.level, missing.level, _one(findings, "rich").level) == ("problem", "problem", "ok")
    assert "but recrun needs click>=99" in old.value
    assert old.remedy.endswith("-m pip install --upgrade 'click>=99'")
    assert missing.remedy.endswith("-m pip install no-such-package")


def test_an_extra_names_what_it_lacks_and_the_command_that_installs_it() -> None:
    needed = [Requirement("no-such-package", ((">=", "2"),), "dev"), Requirement("pytest", (), "dev")]
    found = _one(packages.check_extras(needed), "dev")
    assert (found.level, found.value) == ("note", "not installed: needs no-such-package>=2")
    assert found.remedy == f"{sys.executable} -m pip install 'recrun[dev]'"
    assert _one(packages.check_extras([Requirement("pytest", (), "dev")]), "dev").level == "ok"


@pytest.mark.parametrize(
    ("threads", "level"), [("1", "ok"), ("4096", "note"), ("many", "note"), ("0", "note"), ("", "ok")]
)
def test_a_number_of_threads_that_cannot_help_is_noted(
    monkeypatch: pytest.MonkeyPatch, threads: str, level: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    answer = {"answer": {"threads": 1, "numpy": "a", "torch": "b"}}
    assert _one(machine.check_threads(answer), "OMP_NUM_THREADS").level == level


GPU = {"name": "GPU", "free": 3e9, "total": 8e9}


def test_devices_are_named_with_their_free_memory_or_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"built_for": "12.6", "gpus": [GPU, {"name": "GPU", "error": "busy"}], "mps": False, "mps_built": False}
    findings = list(machine.check_devices({"answer": found}))
    assert _one(findings, "cuda:0").value == "GPU, 3.0 GB of 8.0 GB free"
    assert _one(findings, "cuda:1").value == "GPU does not respond: busy"
    monkeypatch.setattr(machine, "_DRIVER", Path(__file__))
    none = {**found, "gpus": []}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "there is a driver" in _one(machine.check_devices({"answer": none}), "cuda").value
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES is ''" in _one(machine.check_devices({"answer": none}), "cuda").value
    for_cpu = {"answer": {**none, "built_for": None}}
    assert "built for CPUs only" in _one(machine.check_devices(for_cpu), "cuda").value
    assert _one(machine.check_devices({"error": "the process ended by signal 11"}), "torch").level == "problem"


def test_a_folder_that_cannot_be_written_is_a_problem_for_runs_and_a_note_for_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(folders.tempfile, "TemporaryFile", refuse)
    monkeypatch.setenv("RECRUN_CACHE", str(tmp_path / "cache"))
    runs = _one(folders.check_folders(tmp_path / "no/runs", tmp_path), "runs")
    assert (runs.level, runs.remedy != "") == ("problem", True)
    assert f"to be made in {tmp_path}: cannot be written (Read-only file system)" in runs.value
    assert _one(folders.check_cache(), "cache").level == "note"


def test_a_file_in_place_of_a_folder_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RECRUN_CACHE", str(tmp_path / "file/cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert f"cannot be written ({tmp_path / 'file'} is not a folder)" in _one(folders.check_cache(), "cache").value
    assert _one(folders.check_folders(tmp_path / "file/runs", tmp_path), "runs").level == "problem"
    assert _one(folders.check_trust(), "code run here").level == "note"


def test_the_cache_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.npy").write_bytes(b"x" * 1500)
    monkeypatch.setenv("RECRUN_CACHE", str(tmp_path))
    assert _one(folders.check_cache(), "cache holds").value == "1 files, 1.5 kB; it may be deleted at any time"


def test_locks_that_other_processes_do_not_see_are_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _one(folders.check_locks(tmp_path / "runs"), "locks").level == "ok"
    monkeypatch.setattr(folders, "_IS_HELD", "raise SystemExit(0)")
    assert _one(folders.check_locks(tmp_path / "runs"), "locks").level == "problem"
    assert list(tmp_path.iterdir()) == []


def test_no_place_for_temporary_files_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(folders.tempfile, "gettempdir", refuse)
    found = _one(folders.check_temporary(), "TMPDIR")
    assert (found.level, found.remedy) == ("problem", "export TMPDIR=DIR, where DIR can be written")


def test_components_of_other_packages_that_cannot_be_used_are_notes() -> None:
    assert list(packages.check_components({"answer": {"problems": []}})) == []
    (found,) = packages.check_components({"answer": {"problems": ["model 'x' of y: no module\n"]}})
    assert (found.level, found.value) == ("note", "model 'x' of y: no module\\n")
    (found,) = packages.check_components({"error": "the process ended by signal 11"})
    assert found.value == "cannot be asked: the process ended by signal 11"


def test_a_check_that_fails_is_a_finding_and_not_the_end() -> None:
    def broken() -> Iterable[Finding]:
        yield Finding("area", "first", "fine")
        raise ValueError("no\nidea")

    first, second = guarded("area", broken)
    assert first.level == "ok"
    assert (second.level, second.value) == ("note", "failed: ValueError: no\\nidea")


def test_examining_without_metadata_says_that_recrun_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise packages.PackageNotFoundError(name)

    monkeypatch.setattr(packages, "requires", missing)
    monkeypatch.setattr(packages, "version", missing)
    monkeypatch.setattr(packages, "metadata", missing)
    first = next(iter(examine()))
    assert (first.name, first.level) == ("recrun", "problem")
    assert first.remedy.endswith("-m pip install recrun")
