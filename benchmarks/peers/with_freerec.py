"""Time an epoch and a full evaluation of BPR-MF in FreeRec on Gowalla.

    python benchmarks/peers/with_freerec.py --data ../shared/data/gowalla

Written from its documentation, with a model and a coach of our own as FreeRec requires. An epoch visits every train
pair in random order with one unseen negative. Its evaluation has no MAP: 10 numbers instead of 12. It can sample in
worker processes (FREEREC_WORKERS sets their number); by default it does not here, since the threads keep the cores
busy.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _peer import BATCH_SIZE, CUTOFFS, EMBEDDING_DIM, LEARNING_RATE, options, read, report, seconds_of


def write_processed(source: Path, folder: Path) -> None:
    """Write train.txt, valid.txt and test.txt as `freerec make` does: tab-separated, with a header row."""
    folder.mkdir(parents=True)
    parts = {"train": read(source, "train"), "test": read(source, "test")}
    parts["valid"] = (parts["train"][0][:1], parts["train"][1][:1])
    for part, (users, items) in parts.items():
        with (folder / f"{part}.txt").open("w") as file:
            file.write("USER\tITEM\tRATING\tTIMESTAMP\n")
            one = np.ones(len(users), dtype=np.int64)
            np.savetxt(file, np.stack([users, items, one, one], 1), fmt="%d", delimiter="\t")


def main() -> None:
    """Measure and print."""
    arguments = options(__doc__)
    workers = int(os.environ.get("FREEREC_WORKERS", "0"))
    import freerec
    import torch
    from freerec.data.tags import USER  # noqa: F401 - fails early if its data package cannot be imported

    class BPRMF(freerec.models.GenRecArch):
        def __init__(self, dataset: Any) -> None:
            super().__init__(dataset)
            self.User.add_module("embeddings", torch.nn.Embedding(self.User.count, EMBEDDING_DIM))
            self.Item.add_module("embeddings", torch.nn.Embedding(self.Item.count, EMBEDDING_DIM))
            self.criterion = freerec.criterions.BPRLoss(reduction="mean")
            for table in (self.User.embeddings, self.Item.embeddings):
                torch.nn.init.normal_(table.weight, std=1e-2)

        def sure_trainpipe(self, batch_size: int) -> Any:
            pairs = self.dataset.train().shuffled_pairs_source()
            return pairs.gen_train_sampling_neg_(num_negatives=1).batch_(batch_size).tensor_()

        def fit(self, data: Any) -> Any:
            users = self.User.embeddings(data[self.User])
            item = self.Item if self.Item in data else self.IPos
            positives, negatives = self.Item.embeddings(data[item]), self.Item.embeddings(data[self.INeg])
            return self.criterion((users * positives).sum(-1), (users * negatives).sum(-1))

        def recommend_from_full(self, data: Any) -> Any:
            return self.User.embeddings(data[self.User]).flatten(1) @ self.Item.embeddings.weight.T

    class Coach(freerec.launcher.Coach):
        def train_per_epoch(self, epoch: int) -> None:
            for data in self.dataloader:
                data = self.dict_to_device(data)
                loss = self.model(data)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                self.monitor(loss.item(), n=len(data[self.User]), reduction="mean", mode="train", pool=["LOSS"])

    with tempfile.TemporaryDirectory() as temporary:
        write_processed(arguments.data, Path(temporary) / "Processed" / "Gowalla")
        os.chdir(temporary)
        sys.argv = ["benchmark", "--device=cpu", f"--num-workers={workers}", f"--root={temporary}", "--dataset=Gowalla"]
        metrics = [f"{name}@{k}" for name in ("RECALL", "PRECISION", "HITRATE", "NDCG", "MRR") for k in CUTOFFS]
        freerec.declare(version="0.9.7")
        config = freerec.parser.Parser()
        config.set_defaults(
            description="benchmark",
            dataset="Gowalla",
            epochs=1,
            batch_size=BATCH_SIZE,
            optimizer="adam",
            lr=LEARNING_RATE,
            weight_decay=0.0,
            seed=1,
            monitors=["LOSS", *metrics],
            which4best="NDCG@20",
        )
        config.compile()
        torch.set_num_threads(arguments.threads)
        dataset = freerec.data.datasets.MatchingRecDataSet(root=temporary, filedir="Gowalla", download=False)
        model = BPRMF(dataset)
        coach = Coach(
            dataset=dataset,
            trainpipe=model.sure_trainpipe(config.batch_size),
            validpipe=model.sure_validpipe(config.ranking),
            testpipe=model.sure_testpipe(config.ranking),
            model=model,
            cfg=config,
        )
        epochs = [seconds_of(lambda number=number: coach.train(number + 1)) for number in range(arguments.epochs)]
        evaluations = [seconds_of(lambda: coach.test(1)) for _ in range(arguments.evaluations)]
        os.chdir("/")
    report("freerec", epochs, evaluations, {}, "same settings; 10 metrics (it has no MAP)")


if __name__ == "__main__":
    main()
