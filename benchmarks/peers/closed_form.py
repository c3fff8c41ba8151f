"""Compare the fits of iALS, ItemKNN and UserKNN in recrun with those in implicit on Gowalla.

    python benchmarks/peers/closed_form.py --venvs /tmp/peers [--threads 2] [--rounds 5]

implicit is installed as by `run.py`. Both get the same rows, and take turns. iALS has 64 factors and 10 iterations; in
recrun it solves for every row exactly, in implicit as well or by three steps of conjugate gradients, its default. Items
and users have 100 neighbours by cosine. Seconds are the least of all rounds, of the wall and of the processor; ratios
are implicit's to recrun's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]

from _common import machine, record, table  # noqa: E402
from run import data_folder, install, measure  # noqa: E402

KINDS = ("wall", "processor")


def main() -> None:
    """Install, measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--venvs", type=Path, help="folder for implicit's environment; a temporary one by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    least: dict[str, dict[str, list[float]]] = {"recrun": {}, "implicit": {}}
    with tempfile.TemporaryDirectory() as temporary:
        data, path = data_folder(temporary)
        theirs = install("implicit", options.venvs or Path(temporary) / "venvs")
        print(f"{data}; least of {options.rounds} rounds; {machine(options.threads)}", flush=True)
        for _ in range(options.rounds):
            for peer, interpreter in (("recrun", Path(sys.executable)), ("implicit", theirs)):
                fits = measure(interpreter, peer, path, ["--closed-form", f"--threads={options.threads}"])["fits"]
                for name, seconds in fits.items():
                    known = least[peer].setdefault(name, seconds)
                    least[peer][name] = [min(pair) for pair in zip(known, seconds, strict=True)]
    rows: list[list[object]] = []
    for name, seconds in least["implicit"].items():
        ours = least["recrun"][name.partition(":")[0]]
        ratios = [theirs / own for theirs, own in zip(seconds, ours, strict=True)]
        rows.append([name, *(cell for each in zip(ours, seconds, ratios, strict=True) for cell in each)])
        record(f"implicit's {name} / recrun's", ratios[0], ">= 1 x", ratios[0] >= 1, "x")
    table(["fit", *(f"{kind} s: {column}" for kind in KINDS for column in ("recrun", "implicit", "ratio"))], rows)


if __name__ == "__main__":
    main()
