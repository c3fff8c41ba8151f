"""The model `din`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recrun.architectures.base import n_parameters
from recrun.config.resolve import resolve
from recrun.data.datasets import LabelledFile
from recrun.data.fields import DenseField, FieldTuple, SparseField
from recrun.data.interactions import Interactions, TrainingData
from recrun.data.multi_columns.multi_field import MultiField
from recrun.data.tags import FEATURE, TARGET
from recrun.errors import ConfigError
from recrun.models.din import DIN, HistoryAttention
from recrun.workflows.build import prepare
from recrun.workflows.evaluate import evaluate
from tests.clicks import clicks

HISTORIES = {"clicked": "ad", "kinds": "kind", "left": "ad"}


@cache
def _data(n_ads: int = 7, n_kinds: int = 4, *, left: bool = True, price: bool = True) -> TrainingData:
    """Return four rows of an ad, its kind, a price, what was clicked, of which kinds, and what was left."""
    fields: list[Any] = [
        SparseField(name, tags=FEATURE, transformer="none", count=count)
        for name, count in (("ad", n_ads), ("kind", n_kinds))
    ]
    of = {field.name: field for field in fields}
    fields += [DenseField("price", tags=FEATURE)] if price else []
    fields += [MultiField(name, like=of[target]) for name, target in HISTORIES.items() if left or name != "left"]
    columns = {
        "ad": np.array([1, 0, 6, 2]),
        "kind": np.array([0, 3, 1, 1]),
        "price": np.array([0.5, -2, 1, 0], dtype=np.float64),
        "clicked": np.array([[2, 3, -1], [1, -1, -1], [-1, -1, -1], [4, 5, 6]]),
        "kinds": np.array([[2, 0, -1], [1, -1, -1], [-1, -1, -1], [2, 2, 3]]),
        "left": np.array([[0, -1], [5, 0], [6, 2], [-1, -1]]),
        "label": np.array([1, 0, 0, 1], dtype=np.float64),
    }
    users = np.zeros(4, dtype=np.int32)
    return TrainingData(
        FieldTuple([*fields, DenseField("label", tags=TARGET)]), 1, 1, Interactions(users, users, columns)
    )


def _batch(data: TrainingData) -> dict[str, Tensor]:
    columns = {name: torch.from_numpy(values) for name, values in data.interactions.columns.items()}
    return {name: values if values.ndim == 2 else values[:, None] for name, values in columns.items()}


def _model(**settings: Any) -> DIN:
    torch.manual_seed(2)
    model = DIN(_data(), **{"embedding_dim": 3, "attention_dims": [5], "hidden_dims": [4], **settings}).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def _weights(attention: Any, target: Tensor, history: Tensor, form: str) -> Tensor:
    """Return the weights (L,) of the places of one history (L, W), by the formula."""
    found = []
    for each in history:
        pair = torch.cat([target, each, target - each, target * each])
        hidden = torch.sigmoid(attention.network[0].weight @ pair + attention.network[0].bias)
        found.append(attention.network[3].weight[0] @ hidden + attention.network[3].bias[0])
    weights = torch.stack(found)
    shares = torch.exp(weights / (len(target) ** 0.5 if form == "scaled" else 1))
    return weights if form == "plain" else shares / shares.sum()


@pytest.mark.parametrize("form", ["plain", "softmax", "scaled"])
@pytest.mark.parametrize("groups", [[], [["clicked", "kinds"]], [["kinds", "clicked"], ["left"]]], ids=str)
def test_a_logit_is_that_of_histories_summed_by_their_weights(groups: list[list[str]], form: str) -> None:
    weighed = {"attention_softmax": form != "plain", "attention_scaled": form == "scaled"}
    model, batch = _model(history_groups=groups, activation="tanh", **weighed), _batch(_data())
    tables = {name: table.weight for name, table in model.tokenizer.embeddings.items()}
    assert set(tables) == {"ad", "kind", "price"}
    named = {name for group in groups for name in group}
    groups = groups + [[name] for name in HISTORIES if name not in named]
    expected = []
    for row in range(4):
        one = {name: values[row] for name, values in batch.items()}
        parts: dict[str, Any] = {name: tables[name][one[name][0]] for name in ("ad", "kind")}
        parts["price"] = tables["price"][:, 0] * one["price"]  # type: ignore[index, operator]
        for group, attention in zip(groups, model.attentions, strict=True):
            target = torch.cat([parts[HISTORIES[name]] for name in group])
            length = int((one[group[0]] >= 0).sum())
            history = torch.cat([tables[HISTORIES[name]][one[name][:length]] for name in group], dim=1)  # type: ignore[index]
            summed = torch.zeros(len(group) * 3, dtype=torch.float64)
            if length:
                summed = _weights(attention, target, history, form) @ history
            parts |= dict(zip(group, summed.split(3), strict=True))
        whole = torch.cat([parts[name] for name in ("ad", "kind", "price", *HISTORIES)])
        deep: Any = model.deep
        hidden = torch.tanh(deep[0].weight @ whole + deep[0].bias)
        expected.append(deep[3].weight[0] @ hidden + deep[3].bias[0])
    torch.testing.assert_close(model(batch), torch.stack(expected))


@pytest.mark.parametrize("softmax", [False, True])
def test_places_that_are_not_filled_change_nothing_and_gradients_are_finite(softmax: bool) -> None:
    attention = HistoryAttention(3, [5], 0.0, activation="dice", softmax=softmax).double()
    targets, histories = torch.randn(3, 3).double(), torch.randn(3, 4, 3).double().requires_grad_()
    is_filled = torch.tensor([[True, True, False, False], [False] * 4, [True, True, True, False]])
    found = attention(targets, histories, is_filled)
    cut = attention(targets, histories[:, :3] * is_filled[:, :3, None], is_filled[:, :3])
    torch.testing.assert_close(found, cut)
    assert not found[1].any()
    found.square().sum().backward()
    assert histories.grad is not None
    assert bool(histories.grad.isfinite().all())
    assert not histories.grad[~is_filled].any()
    assert attention(targets, histories, torch.zeros(3, 4, dtype=torch.bool)).any().item() is False


def test_dice_learns_from_filled_places_alone() -> None:
    model = _model(attention_activation="dice", history_groups=[["clicked", "kinds"]])
    network: Any = model.train().attentions[0].network  # type: ignore[union-attr]
    seen: list[Tensor] = []
    network[0].register_forward_hook(lambda module, given, result: seen.append(result))
    model(_batch(_data()))
    assert len(seen[0]) == 6, "two, one, no and three places"
    torch.testing.assert_close(network[1].norm.running_mean, 0.01 * seen[0].mean(0))


def test_it_has_as_many_parameters_as_that_of_the_published_number() -> None:
    name = "amazonelectronics_x1/din"
    config, names = resolve(name).config, resolve(name).components["model"].parameters
    settings = {parameter.name: config[parameter.name] for parameter in names}
    data = _data(63_002, 802, left=False, price=False)
    with torch.device("meta"):
        model = DIN(data, **{**settings, "history_groups": [["clicked", "kinds"]]})
    assert n_parameters(model) == 5_403_522 - 2 * 64, "FuxiCTR has a row of padding in both tables"


def test_histories_and_dropout_of_the_attention_are_learned_from() -> None:
    model = _model(attention_dropout=0.5)
    assert torch.equal(model(_batch(_data())), model(_batch(_data())))
    model.train()
    assert not torch.equal(model(_batch(_data())), model(_batch(_data())))
    assert sum(isinstance(layer, nn.Dropout) and layer.p == 0.5 for layer in model.attentions.modules()) == 3


@pytest.mark.parametrize("activation", ["sigmoid", "dice"])
def test_it_is_trained_in_bfloat16_to_about_the_same_numbers(activation: str, tmp_path: Path) -> None:
    settings = [
        "n_rows=1000",
        "epochs=2",
        "batch_size=100",
        "device=cpu",
        "threads=1",
        "verbose=0",
        "monitors=[logloss]",
    ]
    found = []
    for precision in ("float32", "bf16"):
        given = [*settings, f"attention_activation={activation}", f"precision={precision}"]
        found.append(prepare(resolve("synthetic/din", given), runs=tmp_path).fit()["valid"]["logloss"])
    assert found[0] != found[1]
    assert found[1] == pytest.approx(found[0], abs=0.05)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([["clickd"]], "history_groups: unknown history 'clickd'; did you mean 'clicked'"),
        ([["ad"]], "history_groups: unknown history 'ad'"),
        ([["clicked"], ["kinds", "clicked"]], "history_groups: clicked is there twice"),
        (
            [["clicked", "left"]],
            "history_groups: expected as many in left as in clicked, found 1 and 2 in row 0 of train",
        ),
    ],
)
def test_groups_are_of_histories_of_one_length(groups: list[list[str]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _model(history_groups=groups)


def test_an_empty_group_is_refused() -> None:
    with pytest.raises(ConfigError, match="history_groups: expected a list of lists of text values with at least 1"):
        resolve("din", ["history_groups=[[clicked], []]"])


def test_rows_without_a_history_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"din needs a column with a history.*shared_columns"):
        DIN(clicks())


def _write_clicks(folder: Path, n_rows: int = 1500) -> None:
    """Write rows labelled 1 where the ad shown was clicked before, which no single column tells."""
    rng = np.random.default_rng(3)
    lines = ["label,ad,history"]
    for _ in range(n_rows):
        ad, history = rng.integers(12), rng.integers(12, size=rng.integers(0, 7))
        if rng.random() < 0.3:
            history = np.append(history, ad)
        lines.append(f"{int(ad in history)},a{ad},{'|'.join(f'a{each}' for each in history)}")
    (folder / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_it_learns_whether_an_item_was_met_before_and_evaluates_to_the_same_digits(tmp_path: Path) -> None:
    _write_clicks(tmp_path)
    columns = ["sparse_columns=[ad]", "multi_columns=[history]", "shared_columns={history: ad}"]
    settings = [*columns, "dataset=LabelledFile", f"root={tmp_path}", "path=rows.csv", "verbose=0", "device=cpu"]
    resolved = resolve("synthetic/din", [*settings, "threads=1", "epochs=15", "batch_size=64", "monitors=[auc]"])
    result = prepare(resolved, runs=tmp_path / "runs").fit()
    assert result["test"]["auc"] > 0.95
    assert evaluate(result["run"], ["verbose=0"], split="test")["metrics"] == result["test"]
    assert resolve(f"{result['run']}/config.yaml").config.shared_columns == {"history": "ad"}
    assert LabelledFile(tmp_path, path="rows.csv", sparse_columns=["ad"]).fields["ad"].count == 13
