"""Write the README of an export: what each file holds, and how it is used without recrun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from recrun.exporting import faiss, npz, onnx, parquet, safetensors
from recrun.exporting.material import Material

_USERS: Final = """\
row_of = {user: row for row, user in enumerate(data["user_ids"].tolist())}
item_ids = data["item_ids"].tolist()


def recommend(user, k=20):
    row = row_of[user]
    scores = data["item_vectors"] @ data["user_vectors"][row]
{seen}    best = np.argsort(-scores, kind="stable")[:k]
    return [(item_ids[item], float(scores[item])) for item in best if scores[item] > -np.inf]


print(recommend({user}))
"""
_SEEN: Final = '    scores[data["seen_items"][data["seen_indptr"][row] : data["seen_indptr"][row + 1]]] = -np.inf\n'
_ITEMS: Final = """\
item_ids = data["item_ids"].tolist()
row_of = {{item: row for row, item in enumerate(item_ids)}}
lengths = np.linalg.norm(data["item_vectors"], axis=1)


def similar(item, k=20):
    row = row_of[item]
    cosines = data["item_vectors"] @ data["item_vectors"][row] / np.maximum(lengths * lengths[row], 1e-30)
    cosines[row] = -np.inf
    best = np.argsort(-cosines, kind="stable")[:k]
    return [(item_ids[other], float(cosines[other])) for other in best if other != row]


print(similar({item}))
"""
_WEIGHTS: Final = """\
item_ids = data["item_ids"].tolist()
row_of = {{item: row for row, item in enumerate(item_ids)}}


def recommend(history, k=20):
    rows = sorted({{row_of[item] for item in history if item in row_of}})
    scores = {start}
    for row in rows:
{add}    scores[rows] = -np.inf
    best = np.argsort(-scores, kind="stable")[:k]
    return [(item_ids[item], float(scores[item])) for item in best if scores[item] > -np.inf]


print(recommend([{item}]))
"""
_DENSE: Final = '        scores += data["weights"][row]\n'
_SPARSE: Final = """\
        part = slice(data["weights_indptr"][row], data["weights_indptr"][row + 1])
        scores[data["weights_indices"][part]] += data["weights_values"][part]
"""
_NETWORKS: Final = {
    "users": """\
row_of = {{user: row for row, user in enumerate(data["user_ids"].tolist())}}
item_ids = data["item_ids"].tolist()


def recommend(user, k=20):
    row = row_of[user]
    scores = session.run(["scores"], {{"users": np.array([row], dtype=np.int64)}})[0][0]
{seen}    best = np.argsort(-scores, kind="stable")[:k]
    return [(item_ids[item], float(scores[item])) for item in best if scores[item] > -np.inf]


print(recommend({user}))
""",
    "rows": """\
item_ids = data["item_ids"].tolist()
row_of = {{item: row for row, item in enumerate(item_ids)}}


def recommend(history, k=20):
    rows = [row_of[item] for item in history if item in row_of]
    row = np.zeros((1, len(row_of)), dtype=np.float32)
    row[0, rows] = 1
    scores = session.run(["scores"], {{"rows": row}})[0][0]
    scores[rows] = -np.inf
    best = np.argsort(-scores, kind="stable")[:k]
    return [(item_ids[item], float(scores[item])) for item in best if scores[item] > -np.inf]


print(recommend([{item}]))
""",
    "histories": """\
item_ids = data["item_ids"].tolist()
row_of = {{item: row for row, item in enumerate(item_ids)}}


def recommend(history, k=20):  # items in the order of time, the latest last
    rows = [row_of[item] for item in history if item in row_of]
    items = np.array([rows[-{longest}:] or [0]], dtype=np.int64)
    lengths = np.array([len(rows[-{longest}:])], dtype=np.int64)
    scores = session.run(["scores"], {{"items": items, "lengths": lengths}})[0][0]
    scores[rows] = -np.inf
    best = np.argsort(-scores, kind="stable")[:k]
    return [(item_ids[item], float(scores[item])) for item in best if scores[item] > -np.inf]


print(recommend([{item}]))
""",
}
_INDEX: Final = """\
row_of = {user: row for row, user in enumerate(data["user_ids"].tolist())}
item_ids = data["item_ids"].tolist()


def recommend(user, k=20):
    row = row_of[user]
    seen = {seen}
    query = data["user_vectors"][[row]].astype(np.float32)
    scores, items = index.search(query, min(index.ntotal, k + len(seen)))
    found = zip(items[0].tolist(), scores[0].tolist())
    return [(item_ids[item], score) for item, score in found if item >= 0 and item not in seen][:k]


print(recommend({user}))
"""
_INDEX_OF_ITEMS: Final = """\
item_ids = data["item_ids"].tolist()
row_of = {{item: row for row, item in enumerate(item_ids)}}


def near(item, k=20):  # by the product of the vectors
    row = row_of[item]
    query = data["item_vectors"][[row]].astype(np.float32)
    scores, items = index.search(query, min(index.ntotal, k + 1))
    found = zip(items[0].tolist(), scores[0].tolist())
    return [(item_ids[other], score) for other, score in found if other >= 0 and other != row][:k]


print(near({item}))
"""
_INPUTS: Final = {
    "users": "Input `users` int64 (B,): positions of users in `ids.npz`. Output `scores` (B, I).",
    "rows": (
        "Input `rows` float32 (B, I): 1 where a user has met an item, else 0; anyone's, also of users who are not in "
        "the data. Output `scores` (B, I)."
    ),
    "histories": (
        "Inputs `items` int64 (B, L), the positions of each user's items in the order of time, padded on the right "
        "with 0, and `lengths` int64 (B,), how many of them count. L may be any number from 1 on, also where `lengths` "
        "is 0 for a user of whom nothing is known; of a longer history the latest {longest} items are read. Outputs "
        "`scores` (B, I) and `states` (B, D), whose products with the items' vectors "
        "are the scores. Anyone's history will do, also of users who are not in the data."
    ),
}


def readme(material: Material, formats: Sequence[str], manifest: Mapping[str, Any]) -> str:
    """Return the text of the README of an export.

    Args:
        material: what was exported.
        formats: the formats that were written.
        manifest: what manifest.json holds.
    """
    sections = [_head(material, manifest), _files(material, formats), _scores(material)]
    sections += [_usage(material, name, formats) for name in formats]
    return "\n\n".join(each.rstrip() for each in sections) + "\n"


def _head(material: Material, manifest: Mapping[str, Any]) -> str:
    counts = manifest["counts"]
    parts = {"valid": "train", "test": "train and valid", "end": "all parts of the data"}[material.as_of]
    return (
        f"# {manifest['model']} on {manifest['dataset']}\n\n"
        f"A trained recommender of {counts['items']:,} items and {counts['users']:,} users, exported by recrun "
        f"{manifest['recrun']}. Nothing here needs recrun or torch, and no file is a pickle. Known interactions are "
        f"those of {parts}. `manifest.json` has the sizes and SHA-256 of all files, the metrics of the run, the hashes "
        f"of its data, and what was checked."
    )


def _files(material: Material, formats: Sequence[str]) -> str:
    rows = [("items.parquet", "the catalogue: `index`, `item` (the original id), `n_train` and `n_known` interactions")]
    if material.with_users:
        rows.append(("users.parquet", "the same of users: `index`, `user`, `n_train`, `n_known`"))
    if material.with_seen:
        rows.append(
            ("seen.parquet", "the known interactions, by user and in the order of time; `part` is that of the data")
        )
    for name in formats:
        rows += _files_of(material, name)
    table = "\n".join(f"| `{name}` | {text} |" for name, text in rows)
    return (
        f"## Files\n\n| file | what it holds |\n|---|---|\n{table}\n\n"
        "`index` is a number from 0: the row of an item or a user in every array, its number in a network, and its id "
        "in an index."
    )


def _files_of(material: Material, name: str) -> list[tuple[str, str]]:
    what = " and ".join(
        [*(["the vectors"] if material.vectors else []), *(["the weights"] if material.weights else [])]
    )
    if name in ("npz", "safetensors"):
        return [
            (f"model.{name}", f"ids, {what} as arrays" + (", and the items of users" if material.with_seen else ""))
        ]
    if name == "onnx":
        return [("model.onnx", "the model as a network"), ("ids.npz", "the ids of what the network numbers")]
    if name == "faiss":
        return [("items.faiss", "an index of the items' vectors by their inner product")]
    tables = [("item_vectors.parquet", "`index`, `item`, `vector`")] if material.vectors else []
    if material.vectors is not None and material.vectors.users_UD is not None:
        tables.append(("user_vectors.parquet", "`index`, `user`, `vector`"))
    if material.weights is not None:
        tables.append(("item_weights.parquet", "`item`, `neighbor`, `weight` where that is not 0, and their indexes"))
    return tables


def _scores(material: Material) -> str:
    lines = ["## Scores\n"]
    if material.vectors is not None:
        unit = " All vectors of items have length 1." if has_unit_length(material) else ""
        lines.append(f"The score of an item for a user is the dot product of their vectors.{unit}")
    if material.weights is not None:
        offsets = " and of its offset" if material.weights.offsets is not None else ""
        cut = material.was_cut
        kept = "" if cut is None else f" Only the {cut.kept} largest weights of each item were kept."
        lines.append(
            f"The score of an item is the sum of the weights from the user's items (rows) to it (column){offsets}."
            f"{kept} recrun's evaluations score the users of the data by their items in train."
        )
    lines.append("Higher is better. Items that a user already knows have scores as well: leave them out, as below.")
    return "\n".join(lines)


def _usage(material: Material, name: str, formats: Sequence[str]) -> str:
    if name == "onnx":
        return _usage_of_network(material)
    load = _load(material, name, formats)
    user, item = _literal(material.user_ids), _literal(material.item_ids)
    has_users = material.vectors is not None and material.vectors.users_UD is not None
    if name == "faiss" and has_users:
        seen = 'set(data["seen_items"][data["seen_indptr"][row] : data["seen_indptr"][row + 1]].tolist())'
        body = _INDEX.replace("{seen}", seen if material.with_seen else "set()").replace("{user}", user)
    elif name == "faiss":
        body = _INDEX_OF_ITEMS.format(item=item)
    elif has_users:
        body = _USERS.replace("{seen}", _SEEN if material.with_seen else "").replace("{user}", user)
    elif material.vectors is not None:
        body = _ITEMS.format(item=item)
    else:
        body = _of_weights(material, name, item)
    return f"## {name}\n\n```python\n{load}\n{body}```"


def _of_weights(material: Material, name: str, item: str) -> str:
    assert material.weights is not None
    zeros = 'np.zeros(len(data["item_ids"]), dtype=np.float32)'
    start = 'data["offsets"].copy()' if material.weights.offsets is not None else zeros
    is_dense = isinstance(material.weights.matrix, np.ndarray) and name != "parquet"
    return _WEIGHTS.format(start=start, add=_DENSE if is_dense else _SPARSE, item=item)


def _load(material: Material, name: str, formats: Sequence[str]) -> str:
    """Return the lines that read a format into arrays; an index is used with those of another format."""
    if name == "faiss":
        other = next(each for each in formats if each in ("npz", "parquet", "safetensors"))
        return f"{faiss.IMPORT}{_load(material, other, formats)}{faiss.LOAD}"
    if name != "parquet":
        return {"npz": npz.LOAD, "safetensors": safetensors.LOAD}[name]
    if material.vectors is None:
        has_offsets = material.weights is not None and material.weights.offsets is not None
        return parquet.LOAD_WEIGHTS + (parquet.LOAD_OFFSETS if has_offsets else "")
    users = parquet.LOAD_USERS if material.vectors.users_UD is not None else ""
    return parquet.LOAD_VECTORS + users + (parquet.LOAD_SEEN if users and material.with_seen else "")


def _usage_of_network(material: Material) -> str:
    network = material.network
    assert network is not None
    longest = getattr(getattr(network, "model", None), "max_length", 0)
    texts = {"user": _literal(material.user_ids), "item": _literal(material.item_ids), "longest": longest}
    body = _NETWORKS[network.reads].format(seen=_SEEN if material.with_seen else "", **texts)
    about = _INPUTS[network.reads].format(longest=longest)
    return f"## onnx\n\n{about}\n\n```python\n{onnx.LOAD}\n{body}```"


def has_unit_length(material: Material) -> bool:
    """Return whether all vectors of items have length 1, so that products are cosines up to the user's length."""
    if material.vectors is None or not len(material.vectors.items_ID):
        return False
    lengths = np.linalg.norm(np.asarray(material.vectors.items_ID, dtype=np.float64), axis=1)
    return bool(np.abs(lengths - 1).max() < 1e-4)


def _literal(ids: Any) -> str:
    """Return an id as a literal of Python in ASCII, which no text can leave."""
    return ascii(ids[0].item()) if len(ids) else "0"
