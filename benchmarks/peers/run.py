"""Compare FreeRec, RecBole and implicit with recrun on Gowalla: seconds per epoch and per full evaluation.

    python benchmarks/peers/run.py --venvs /tmp/peers [--only implicit recbole] [--rounds 1] [--threads 2]

Each peer is installed from the package index into its own environment in that folder (once; some GB in all), and timed
by its script, which can also be run alone. Settings are the same: embedding 64, batch 2,048, Adam, one uniform
negative, no weight decay, the same train and test pairs; implicit has only plain SGD. recrun and the peers take turns
in each round. Ratios are to recrun's median: 10 means that recrun is ten times as fast. A peer that cannot be installed
or run is listed as "not run", with the reason. Without Gowalla, synthetic data of its size is used.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from _common import data_root, gowalla, json_of, machine, median, record, run_child, table  # noqa: E402

PEERS = ("freerec", "recbole", "implicit")
NO_DEPENDENCIES = {"freerec": ["torchdata==0.7.0"]}
WANTED = {("freerec", "epochs"): 15.0, ("recbole", "epochs"): 3.0, ("recbole", "evaluations"): 3.0}
WANTED |= {("implicit", "evaluations"): 1.0}


def install(peer: str, folder: Path) -> Path:
    """Return the interpreter of a peer's environment, which is created if it does not exist.

    Raises:
        RuntimeError: pip could not install it; the message ends with pip's output.
    """
    folder = folder.resolve()
    interpreter, done = folder / peer / "bin" / "python", folder / peer / "installed"
    requirements = FOLDER / f"{peer}.txt"
    if done.exists() and done.read_text() == requirements.read_text():
        return interpreter
    venv.create(folder / peer, with_pip=True)
    pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run_child([*pip, "-r", str(requirements)])
    if peer in NO_DEPENDENCIES:
        run_child([*pip, "--no-deps", *NO_DEPENDENCIES[peer]])
    done.write_text(requirements.read_text())
    return interpreter


def data_folder(temporary: str) -> tuple[str, Path]:
    """Return the name of the data and the folder of its text files: Gowalla, or synthetic data."""
    data, _ = gowalla()
    if data == "Gowalla":
        return data, data_root() / "gowalla"
    from _common import GOWALLA

    from recrun.data.datasets import Synthetic

    made_up = Synthetic(**GOWALLA, test_ratio=0.21, valid_ratio=0)
    for part in ("train", "test"):
        rows = made_up.csr(part)
        with (Path(temporary) / f"{part}.txt").open("w") as file:
            for user in range(rows.n_rows):
                print(user, *rows.row(user), file=file)
    return data, Path(temporary)


def measure(interpreter: Path, peer: str, data: Path, arguments: list[str]) -> dict[str, Any]:
    """Run a peer's script, and return its document."""
    script = FOLDER / f"with_{peer}.py"
    command = [str(interpreter), str(script), "--data", str(data.resolve()), *arguments]
    with tempfile.TemporaryDirectory() as folder:  # some peers write logs to the working folder
        ended = run_child(command, Path(folder), PYTHONPATH="", RECRUN_CACHE=folder)
    document: dict[str, Any] = json_of(ended.output)
    return document


def last_words(error: BaseException) -> str:
    """Return the last line of an error's text."""
    return str(error).strip().splitlines()[-1][:160]


def main() -> None:
    """Install, measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--venvs", type=Path, help="folder for the peers' environments; a temporary one by default")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=2, help="epochs that count in each round")
    parser.add_argument("--evaluations", type=int, default=1, help="evaluations in each round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="processor seconds instead of wall time: steadier on a busy machine, with one thread",
    )
    options = parser.parse_args()
    arguments = [f"--{name}={getattr(options, name)}" for name in ("epochs", "evaluations", "threads")]
    arguments += ["--cpu-time"] * options.cpu_time
    found: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.venvs or Path(temporary) / "venvs"
        data, path = data_folder(temporary)
        interpreters = {"recrun": Path(sys.executable)}
        for peer in options.only:
            try:
                interpreters[peer] = install(peer, folder)
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                failed[peer] = f"cannot be installed: {last_words(error)}"
        unit = "processor" if options.cpu_time else "wall"
        print(f"{data}; {unit} seconds; {machine(options.threads)}", flush=True)
        for _ in range(options.rounds):
            for peer, interpreter in interpreters.items():
                try:
                    document = measure(interpreter, peer, path, arguments)
                except (RuntimeError, ValueError) as error:
                    failed[peer] = f"failed: {last_words(error)}"
                    continue
                known = found.setdefault(peer, {**document, "epochs": [], "evaluations": []})
                known["epochs"] += document["epochs"]
                known["evaluations"] += document["evaluations"]
    show(found, failed)


def show(found: dict[str, dict[str, Any]], failed: dict[str, str]) -> None:
    """Print the table, and enter the targets into the record."""
    ours = found.get("recrun")
    rows: list[list[Any]] = []
    for peer, document in found.items():
        row: list[Any] = [f"{peer} {document['version']}"]
        for what in ("epochs", "evaluations"):
            seconds = median(document[what])
            ratio = None if ours is None or peer == "recrun" else seconds / median(ours[what])
            row += [seconds, ratio]
            if ratio is not None and (peer, what) in WANTED:
                wanted = WANTED[peer, what]
                record(f"{peer}'s {what[:-1]} / recrun's", ratio, f">= {wanted:g} x", ratio >= wanted, "x")
        rows.append([*row, document["note"]])
    rows += [[peer, None, None, None, None, f"not run: {reason}"] for peer, reason in failed.items()]
    table(["library", "epoch s", "/ recrun", "evaluation s", "/ recrun", "note"], rows)


if __name__ == "__main__":
    main()
