"""Build indexes of item vectors for approximate search by the inner product, with faiss.

Shapes: I items, D length of the vectors.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LINKS: Final = 48
"""Links of an item of HNSW (Malkov and Yashunin, TPAMI 2020)."""
BREADTH_OF_BUILDING: Final = 400
"""How many items are looked at when one is added."""
SEARCHED_OF_HNSW: Final = 256
"""How many items are looked at in a search, unless told."""
SHARE_OF_LISTS: Final = 8
"""Of IVF: one list in so many is searched, unless told."""


def load_faiss() -> Any:
    """Import faiss, which is an extra."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wrapper of its C++ code warns on newer Pythons
        import faiss
    return faiss


def index_parameters(kind: str, n_items: int, breadth: int | None = None) -> dict[str, int]:
    """Return the parameters of an index.

    Args:
        kind: "flat", which compares all items, "hnsw" or "ivf".
        n_items: I.
        breadth: how many items of HNSW are looked at, or how many lists of IVF are searched; None for the usual number.
    """
    if kind == "hnsw":
        return {"links": LINKS, "ef_construction": BREADTH_OF_BUILDING, "ef_search": breadth or SEARCHED_OF_HNSW}
    if kind == "ivf":
        n_lists = max(1, min(n_items, round(2 * n_items**0.5)))
        return {"lists": n_lists, "probes": min(n_lists, breadth or max(1, n_lists // SHARE_OF_LISTS))}
    return {}


def build_index(items_ID: Array, kind: str, breadth: int | None = None) -> Any:
    """Return a faiss index of vectors by the inner product; ids in it are positions.

    Args:
        items_ID: float32, contiguous.
        kind: as for `index_parameters`, like `breadth`.
        breadth: how much is searched.

    Raises:
        RuntimeError: faiss cannot build it.
    """
    faiss = load_faiss()
    n_items, dim = items_ID.shape
    parameters = index_parameters(kind, n_items, breadth)
    if kind == "flat":
        index = faiss.IndexFlatIP(dim)
    elif kind == "hnsw":
        index = faiss.IndexHNSWFlat(dim, LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction, index.hnsw.efSearch = BREADTH_OF_BUILDING, parameters["ef_search"]
    else:
        coarse = faiss.IndexFlatIP(dim)
        index = faiss.IndexIVFFlat(coarse, dim, parameters["lists"], faiss.METRIC_INNER_PRODUCT)
        index.cp.min_points_per_centroid = 1  # or it warns on stderr
        index.train(items_ID)
        index.nprobe = parameters["probes"]
    index.add(items_ID)
    return index


def use_threads(n: int) -> None:
    """Let faiss compute in so many threads."""
    load_faiss().omp_set_num_threads(n)


def found_by(index: Any, queries_BD: Array, k: int) -> NDArray[np.int64]:
    """Return the ids of about the k best items of each query, (B, k); -1 where none is found."""
    kind = load_faiss().downcast_index(index)
    if hasattr(kind, "hnsw"):
        before = kind.hnsw.efSearch
        kind.hnsw.efSearch = max(before, k)
        try:
            return np.asarray(kind.search(queries_BD, k)[1])
        finally:
            kind.hnsw.efSearch = before
    return np.asarray(kind.search(queries_BD, k)[1])
