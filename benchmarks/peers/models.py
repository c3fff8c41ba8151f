"""Compare training steps of models of sequences and of graphs in recrun with those in RecBole, on the same rows.

    python benchmarks/peers/models.py --venvs /tmp/peers [--only sasrec/Beauty lightgcn/Gowalla] [--steps 12]

RecBole is installed as by `run.py`. Both have the same sizes, dropout and loss, the same train rows, and batches of
2,048 rows; the seconds of an epoch are the median of a step times the steps of an epoch. Steps of both are measured by
turns. RecBole trains models of histories on prefixes, one row for each item with those before it; recrun is measured
with the same rows (`sequence_rows: prefixes`) and with its own (`all_positions`: the same targets, and one row for each
user). BERT4Rec is trained on whole histories in recrun, and on each prefix in RecBole, so that an epoch there has more
targets. Ratios are RecBole's seconds over recrun's. Needs the data of `recrun data fetch`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]

from _common import data_root, json_of, machine, median, run_child, table  # noqa: E402
from run import install, last_words  # noqa: E402

from recrun.data.interactions import TIMESTAMP  # noqa: E402

if TYPE_CHECKING:
    from recrun.training.coach import Coach

BATCH_SIZE: Final = 2048
LENGTHS: Final = {"Beauty": 50, "MovieLens1M": 50}
"""The most items of a history that are read."""
MODELS: Final[dict[str, tuple[str, dict[str, Any], dict[str, Any]]]] = {
    "sasrec": (
        "SASRec",
        {"embedding_dim": 64, "n_layers": 2, "n_heads": 2, "inner_dim": 256, "activation": "gelu", "norm": "post"},
        {"hidden_size": 64, "n_layers": 2, "n_heads": 2, "inner_size": 256, "loss_type": "CE"},
    ),
    "gru4rec": (
        "GRU4Rec",
        {"embedding_dim": 64, "hidden_dim": 128, "n_layers": 1, "dropout": 0.3},
        {"embedding_size": 64, "hidden_size": 128, "num_layers": 1, "dropout_prob": 0.3, "loss_type": "CE"},
    ),
    "bert4rec": (
        "BERT4Rec",
        {"embedding_dim": 64, "n_layers": 2, "n_heads": 2},
        {"hidden_size": 64, "n_layers": 2, "n_heads": 2, "inner_size": 256, "loss_type": "CE", "mask_ratio": 0.2},
    ),
    "lightgcn": (
        "LightGCN",
        {"embedding_dim": 64, "n_layers": 3, "embedding_decay": 1e-4},
        {"embedding_size": 64, "n_layers": 3, "reg_weight": 1e-4},
    ),
    "ngcf": (
        "NGCF",
        {"embedding_dim": 64, "n_layers": 3, "message_dropout": 0.1, "embedding_decay": 1e-5},
        {
            "embedding_size": 64,
            "hidden_size_list": [64, 64, 64],
            "node_dropout": 0.0,
            "message_dropout": 0.1,
            "reg_weight": 1e-5,
        },
    ),
}
"""RecBole's name of a model, and its settings in recrun and in RecBole."""
CASES: Final = [f"{model}/{data}" for model in ("sasrec", "gru4rec", "bert4rec") for data in LENGTHS]
CASES += ["lightgcn/Gowalla", "ngcf/Gowalla"]


class Ours(NamedTuple):
    """A model in recrun, as it is trained by the steps that are measured."""

    note: str
    coach: Coach
    seconds: list[float]


def write_for_recbole(coach: Coach, name: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Write the data of a coach as RecBole reads it; return its folder, and RecBole's settings for it."""
    base, in_time = coach.dataset.base, name != "Gowalla"
    parts = [base.interactions(part) for part in (("train", "valid", "test") if in_time else ("train",))]
    columns = [np.concatenate([rows.users for rows in parts]), np.concatenate([rows.items for rows in parts])]
    if in_time:
        columns.append(np.concatenate([rows.columns[TIMESTAMP] for rows in parts]))
    (folder / name).mkdir(exist_ok=True)
    with (folder / name / f"{name}.inter").open("w") as file:
        file.write("user_id:token\titem_id:token" + "\ttimestamp:float" * in_time + "\n")
        np.savetxt(file, np.stack(columns, 1), fmt="%d", delimiter="\t")
    load = ["user_id", "item_id", *["timestamp"] * in_time]
    settings: dict[str, Any] = {"load_col": {"inter": load}}
    if in_time:
        split = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}
        settings |= {"train_neg_sample_args": None, "MAX_ITEM_LIST_LENGTH": LENGTHS[name]}
    else:
        split = {"split": {"RS": [1.0, 0.0, 0.0]}, "order": "RO", "group_by": "user", "mode": "full"}
    return folder / name, {**settings, "eval_args": split}


def ours(case: str, threads: int) -> Iterator[Ours]:
    """Yield the ways in which recrun trains the model."""
    from recrun.config.resolve import resolve
    from recrun.workflows.build import build

    model, data = case.split("/")
    settings = {**MODELS[model][1], "threads": threads, "device": "cpu", "root": str(data_root()), "epochs": 1}
    rows: dict[str, Mapping[str, Any]] = {"the same rows": {}}
    if data == "Gowalla":
        settings |= {"dataset": "Gowalla_m1", "valid_ratio": 0, "batch_size": BATCH_SIZE}
    else:
        settings |= {"dataset": data, "split": "leave_one_out", "max_length": LENGTHS[data], "loss": "cross_entropy"}
        own = {"batch_size": 512 if data == "Beauty" else 128}
        rows = {f"rows of users, batches of {own['batch_size']}": own}
        if model != "bert4rec":
            rows["the same rows"] = {"batch_size": BATCH_SIZE, "sequence_rows": "prefixes"}
    for note, more in rows.items():
        overrides = [f"{key}={value}" for key, value in {**settings, **more}.items()]
        coach = build(resolve(str(FOLDER.parents[1] / "configs" / f"{model}.yaml"), overrides))
        coach.model.train()
        yield Ours(note, coach, [])


def step_all(each: Ours, n_steps: int, epoch: int, clock: Any) -> None:
    """Train some steps, of which the first does not count."""
    from recrun.criterions.base import checked_loss

    batches = iter(each.coach.dataset.iterate("train", seed=1, epoch=epoch))
    for number in range(n_steps + 1):
        start = clock()
        batch = next(batches, None)
        if batch is None:
            return
        loss = checked_loss(
            each.coach.model.training_loss(batch, each.coach.criterion), each.coach.model, each.coach.criterion
        )
        each.coach.optimizer.zero_grad()
        loss.backward()
        each.coach.optimizer.step()
        if number:
            each.seconds.append(clock() - start)


def main() -> None:
    """Install, measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--venvs", type=Path, help="folder for RecBole's environment; a temporary one by default")
    parser.add_argument("--only", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--steps", type=int, default=12, help="steps that count in each round")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--cpu-time", action="store_true", help="processor seconds of the process: steadier on a busy machine"
    )
    options = parser.parse_args()
    clock = time.process_time if options.cpu_time else time.perf_counter
    rows: list[list[Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        interpreter = install("recbole", options.venvs or Path(temporary) / "venvs")
        print(f"{'processor' if options.cpu_time else 'wall'} seconds; {machine(options.threads)}", flush=True)
        for case in options.only:
            model, data = case.split("/")
            mine = list(ours(case, options.threads))
            folder, settings = write_for_recbole(mine[0].coach, data, Path(temporary))
            settings |= {**MODELS[model][2], "train_batch_size": BATCH_SIZE, "checkpoint_dir": temporary}
            command = [str(interpreter), str(FOLDER / "recbole_models.py"), "--data", str(folder)]
            command += ["--model", MODELS[model][0], "--settings", json.dumps(settings), f"--steps={options.steps}"]
            command += [f"--threads={options.threads}", *["--cpu-time"] * options.cpu_time]
            theirs: list[float] = []
            n_theirs = 0
            for number in range(options.rounds):
                for each in mine:
                    step_all(each, options.steps, number, clock)
                try:
                    found = json_of(run_child(command, Path(temporary), PYTHONPATH="").output)
                except (RuntimeError, subprocess.SubprocessError) as error:
                    print(f"{case}: RecBole failed: {last_words(error)}", file=sys.stderr)
                    break
                n_theirs, theirs = found["steps"], [*theirs, *found["seconds"]]
            of_theirs = n_theirs * median(theirs) if theirs else None
            for each in mine:
                of_mine = each.coach.dataset.n_batches("train") * median(each.seconds)
                ratio = None if of_theirs is None else of_theirs / of_mine
                rows.append([case, each.note, of_mine, of_theirs, ratio])
    table(["model/data", "recrun's rows", "epoch s: recrun", "RecBole", "ratio"], rows)


if __name__ == "__main__":
    main()
