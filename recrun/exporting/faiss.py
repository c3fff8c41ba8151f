"""Write an index of the items' vectors for faiss, and measure how many of the exact best items it finds.

Shapes: B users, I items, D length of the vectors, K ranks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recrun.errors import ExportError
from recrun.evaluation.item_index import build_index, index_parameters, load_faiss
from recrun.exporting.material import Material
from recrun.exporting.written import Request, Written
from recrun.randomness import generator

Array = NDArray[Any]

FILE: Final = "items.faiss"
_FLAT_UP_TO: Final = 20_000
"""Up to so many items, all are compared: that takes well below a millisecond, and misses nothing."""
_SAMPLE: Final = 500
_K: Final = 20

IMPORT: Final = "import faiss\n"
LOAD: Final = """\
index = faiss.read_index("items.faiss")
"""


def write(material: Material, folder: Path, request: Request) -> Written:
    """Write `items.faiss`, an index by the inner product; ids in it are positions in the catalogue.

    Raises:
        ExportError: faiss cannot build or write the index.
    """
    if material.vectors is None:
        raise ValueError("the model has no vectors")
    items_ID = np.ascontiguousarray(material.vectors.items_ID, dtype=np.float32)
    kind = request.index if request.index != "auto" else "flat" if len(items_ID) <= _FLAT_UP_TO else "hnsw"
    request.notice(f"building an index ({kind})")
    faiss = load_faiss()
    try:
        index = build_index(items_ID, kind)
        faiss.write_index(index, str(folder / FILE))
        index = faiss.read_index(str(folder / FILE))
    except RuntimeError as error:
        raise ExportError(f"faiss cannot build the index: {str(error).splitlines()[0]}") from error
    request.notice("measuring the recall of the index")
    checks: dict[str, Any] = {"index": kind, **index_parameters(kind, len(items_ID))}
    return Written((FILE,), {**checks, **_recall(material, index)})


def _recall(material: Material, index: Any) -> dict[str, Any]:
    """Return the share of the exact best 20 items that the index finds, over a sample of users.

    Queries are vectors of users, whose known items are left out; of items, where no vectors of users are exported.
    """
    assert material.vectors is not None
    users_UD, items_ID = material.vectors
    queries_UD = items_ID if users_UD is None else users_UD
    random = generator(0, 0, "index")
    n_sampled = min(_SAMPLE, len(queries_UD))
    sampled_B = np.sort(random.choice(len(queries_UD), n_sampled, replace=False))
    histories = material.known.histories(len(material.user_ids))
    hits = places = 0
    for row in sampled_B.tolist():
        query = np.ascontiguousarray(queries_UD[row], dtype=np.float32)
        if not query.any():  # a user of whom nothing is known
            continue
        left_out = np.unique(histories.row(row)) if users_UD is not None else np.array([row])
        scores = np.asarray(items_ID, dtype=np.float32) @ query
        scores[left_out] = -np.inf
        n_best = min(_K, len(scores) - len(left_out))
        if n_best <= 0:
            continue
        bound = np.partition(scores, len(scores) - n_best)[len(scores) - n_best]
        _, found = index.search(query[None], min(len(scores), _K + len(left_out)))
        kept = [item for item in found[0].tolist() if item >= 0 and item not in set(left_out.tolist())][:n_best]
        slack = 1e-6 * max(1e-30, float(np.abs(scores[np.isfinite(scores)]).max()))  # ties are as good
        hits += int((scores[kept] >= bound - slack).sum())
        places += n_best
    kind = "users" if users_UD is not None else "items"
    return {"recall@20": hits / places if places else None, kind: n_sampled}
