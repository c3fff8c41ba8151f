"""The Dockerfile and the workflow: what they copy exists, they ask for no rights, and the steps of the image run."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from recrun.importing.yaml_tree import read_tree

Instruction = tuple[str, str]


def instructions(dockerfile: Path) -> list[Instruction]:
    """Return the instructions of a Dockerfile: each keyword, and what follows it with its lines joined."""
    text = "\n".join(line for line in dockerfile.read_text(encoding="utf-8").split("\n") if not line.startswith("#"))
    lines = [line for line in re.sub(r"\\\n", "\n ", text).split("\n\n") if line.strip()]
    joined = re.sub(r"\n +", " ", "\n".join(lines))
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in joined.split("\n") if line.strip()]


def stages(dockerfile: Path) -> list[list[Instruction]]:
    """Return the instructions of each stage, its FROM first."""
    found: list[list[Instruction]] = []
    for instruction in instructions(dockerfile):
        if instruction[0] == "FROM":
            found.append([])
        if found:
            found[-1].append(instruction)
    return found


def _copied(dockerfile: Path) -> list[tuple[list[str], str]]:
    copies = [text.split() for keyword, text in instructions(dockerfile) if keyword == "COPY" and "--from" not in text]
    return [(words[:-1], words[-1]) for words in copies]


def test_what_the_image_copies_is_there_and_sent_to_the_builder(repository: Path) -> None:
    sent = [line[1:] for line in (repository / ".dockerignore").read_text().split("\n") if line.startswith("!")]
    copied = {source for sources, _ in _copied(repository / "Dockerfile") for source in sources}
    assert copied == set(sent)
    assert [source for source in copied if not (repository / source).exists()] == []


def test_the_image_has_all_packages(repository: Path) -> None:
    metadata = configparser.ConfigParser()
    metadata.read(repository / "setup.cfg", encoding="utf-8")
    folders = {line.split("=")[1].strip() for line in metadata["options"]["package_dir"].strip().split("\n")}
    assert folders <= {source for sources, _ in _copied(repository / "Dockerfile") for source in sources}


def test_the_image_runs_recrun_without_rights(repository: Path) -> None:
    last = dict(stages(repository / "Dockerfile")[-1])
    assert last["USER"] == "1000:1000"
    assert last["ENTRYPOINT"] == '["recrun"]'
    assert last["VOLUME"] == '["/app/runs", "/app/data"]'
    keywords = [keyword for keyword, _ in stages(repository / "Dockerfile")[-1]]
    assert keywords.index("USER") > max(number for number, keyword in enumerate(keywords) if keyword == "RUN")


def test_every_argument_of_the_image_is_in_the_docs(repository: Path) -> None:
    page = (repository / "docs" / "container.md").read_text(encoding="utf-8")
    arguments = dict(
        text.split("=", 1) for keyword, text in instructions(repository / "Dockerfile") if keyword == "ARG"
    )
    assert set(arguments) == {"BASE", "TORCH_INDEX", "EXTRAS"}
    for name, default in arguments.items():
        assert f"| `{name}` | {f'`{default}`' if default else ''} |".replace("|  |", "| |") in page


def _workflow(repository: Path) -> dict[str, Any]:
    value = read_tree(repository / ".github" / "workflows" / "ci.yml").value
    assert isinstance(value, dict)
    return value


def test_the_workflow_calls_what_continuous_integration_runs(repository: Path) -> None:
    jobs = _workflow(repository)["jobs"]
    runs = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert ".ci/run" in runs
    assert os.access(repository / ".ci" / "run", os.X_OK)
    targets = re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {words[1] for words in map(str.split, runs) if words[0] == "make"} <= set(targets)


def test_the_workflow_may_read_only_and_ends(repository: Path) -> None:
    workflow = _workflow(repository)
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow["on"]) == {"push", "pull_request", "workflow_dispatch"}  # never pull_request_target
    for name, job in workflow["jobs"].items():
        assert "permissions" not in job, name
        assert 0 < job["timeout-minutes"] <= 180, name
        for step in job["steps"]:
            uses = step.get("uses", "actions/none@v1")
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", uses), uses
            if "checkout" in uses:
                assert step["with"]["persist-credentials"] is False
            # What a pull request names could otherwise become part of a command.
            assert "${{" not in step.get("run", "")


def test_the_workflow_covers_the_versions_of_python_that_are_promised(repository: Path) -> None:
    jobs = _workflow(repository)["jobs"]
    versions = {*jobs["tests"]["strategy"]["matrix"]["python"]}
    versions |= {step["with"]["python-version"] for step in jobs["everything"]["steps"] if "python" in str(step)}
    promised = re.findall(r"Python :: (3\.\d+)", (repository / "setup.cfg").read_text(encoding="utf-8"))
    assert versions - {None} == set(promised)


@pytest.mark.slow
def test_the_steps_of_the_image_run(repository: Path, tmp_path: Path) -> None:
    """Run the steps below a folder of their own; what is installed here already is not downloaded again."""
    root = tmp_path / "root"
    below = re.compile(r"(?<![\w.$/])/(?=(?:opt|src|app|home)\b)")
    variables = {"TORCH_INDEX": "", "EXTRAS": ""}
    environment = {**os.environ, **variables, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    n_run = 0
    for keyword, text in instructions(repository / "Dockerfile"):
        if keyword == "COPY" and "--from" not in text:
            *sources, target = text.split()
            _copy(repository, sources, Path(below.sub(f"{root}/", target)))
        elif keyword == "RUN" and "apt-get" not in text:
            command = below.sub(f"{root}/", text)
            done = subprocess.run(["sh", "-ec", command], env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            n_run += 1
            if "-m venv" in text:
                site = next((root / "opt" / "recrun").glob("lib/python*/site-packages"))
                paths = [path for path in sys.path if path.endswith("site-packages")]
                (site / "here.pth").write_text("\n".join(paths), encoding="utf-8")
    assert n_run == 5
    small = ["n_users=60", "n_items=40", "n_interactions=700", "epochs=1", "device=cpu"]
    command = [str(root / "opt" / "recrun" / "bin" / "recrun"), "train", "bprmf", *small, "--no-plots", "-q"]
    done = subprocess.run(command, cwd=root / "app", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list((root / "app" / "runs").glob("bprmf/Synthetic/*/metrics.json"))
    where = [str(root / "opt" / "recrun" / "bin" / "python"), "-c", "import recrun; print(recrun.__file__)"]
    done = subprocess.run(where, cwd=root / "app", capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(root / "opt"))


def _copy(repository: Path, sources: list[str], target: Path) -> None:
    ignored = [line for line in (repository / ".dockerignore").read_text().split("\n") if line.startswith("**/")]

    def leave_out(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if any(fnmatch(name, pattern[3:]) for pattern in ignored)}

    target.mkdir(parents=True, exist_ok=True)
    for source in sources:
        if (repository / source).is_dir():
            shutil.copytree(repository / source, target, ignore=leave_out, dirs_exist_ok=True)
        else:
            shutil.copy(repository / source, target)
