"""Divided tables: look-ups, gradients, norms and states are those of whole tables, to the bit where no sum is split."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recrun.errors import ConfigError, TrainingError
from recrun.training.optimizers import RowOptimizer, lazy_adam
from recrun.training.parallel.sharded_tables import ShardedTables
from recrun.training.parallel.table_states import TableStates
from recrun.training.steps.gradients import clip_gradients, gradient_norm
from tests.training.parallel.threads import ThreadProcesses, together

N_USERS, N_ITEMS = 11, 7


class Model(nn.Module):
    """Two tables that are divided, a small one that is not, and a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.users, self.items, self.positions = nn.Embedding(N_USERS, 3), nn.Embedding(N_ITEMS, 3), nn.Embedding(3, 3)
        self.layer = nn.Linear(3, 3)
        drawn = torch.Generator().manual_seed(4)  # the generator of torch is that of all threads
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=drawn)

    def loss(self, users: Tensor, items: Tensor, *more: Tensor) -> Tensor:
        """Return a loss of rows, with look-ups of as many more items as are given."""
        found = (self.layer(self.users(users)) * self.items(items)).sin().sum() + self.positions.weight.sum()
        return found + sum((self.items(each).square().sum() for each in more), torch.zeros(()))

    def vectors(self) -> tuple[Tensor, Tensor]:
        return self.layer(self.users.weight), self.items.weight


def batch(rank: int) -> tuple[Tensor, ...]:
    """Return what a process works on: rows that repeat, in another number of look-ups than in the next process."""
    drawn = torch.Generator().manual_seed(rank)
    rows = torch.randint(0, N_USERS, (5, 1), generator=drawn), torch.randint(0, N_ITEMS, (5, 1), generator=drawn)
    return *rows, *(torch.randint(0, N_ITEMS, (2, rank), generator=drawn) for _ in range(rank % 3))


def divided(processes: ThreadProcesses, model: nn.Module, *, sparse: bool = True) -> ShardedTables:
    processes.tables = tables = ShardedTables(model, (N_USERS, N_ITEMS), processes, sparse=sparse)
    return tables


def whole_gradients(n: int) -> Model:
    model = Model()
    for rank in range(n):
        model.loss(*batch(rank)).backward()
    return model


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("sparse", [True, False])
def test_the_gradients_of_all_processes_are_those_of_whole_tables(n: int, sparse: bool) -> None:
    def work(processes: ThreadProcesses) -> dict[str, Tensor]:
        model = Model()
        tables = divided(processes, model, sparse=sparse)
        loss = model.loss(*batch(processes.rank))
        tables.finish()
        loss.backward()
        tables.exchange_gradients()
        found = {each.name: each.weight.grad for each in tables.tables}
        assert all(each.is_sparse == sparse for each in found.values())
        return {name: each.to_dense() for name, each in found.items()} | {"loss": loss.detach()}

    found, expected = together(n, work), whole_gradients(n)
    for name in ("users", "items"):
        gradient = torch.cat([each[f"{name}.weight"] for each in found])
        torch.testing.assert_close(gradient, expected.get_submodule(name).weight.grad, rtol=1e-6, atol=1e-6)
    losses = [Model().loss(*batch(rank)) for rank in range(n)]
    assert [float(each["loss"]) for each in found] == [float(each.detach()) for each in losses], "look-ups are exact"


def test_a_table_that_is_not_trained_gets_no_gradient() -> None:
    def work(processes: ThreadProcesses) -> list[bool]:
        model = Model()
        model.items.weight.requires_grad_(False)
        tables = divided(processes, model)
        tables.attempt(lambda: model.loss(*batch(processes.rank))).backward()
        tables.exchange_gradients()
        return [each.weight.grad is None for each in tables.tables]

    assert together(2, work) == [[False, True]] * 2


def test_small_tables_stay_whole_and_those_of_rows_are_divided() -> None:
    def work(processes: ThreadProcesses) -> dict[str, int]:
        model = Model()
        divided(processes, model)
        return {name: len(each.weight) for name, each in model.named_modules() if isinstance(each, nn.Embedding)}

    assert together(3, work) == [
        {"users": 3, "items": 2, "positions": 3},
        {"users": 4, "items": 2, "positions": 3},
        {"users": 4, "items": 3, "positions": 3},
    ]


@pytest.mark.parametrize("clip_norm", [0.5, 1e6])
def test_gradients_are_clipped_by_the_norm_of_those_of_all_processes(clip_norm: float) -> None:
    def work(processes: ThreadProcesses) -> tuple[float, dict[str, Tensor]]:
        model = Model()
        tables = divided(processes, model)
        loss = sum((model.loss(*batch(rank)) for rank in range(3)), torch.zeros(()))
        tables.finish()
        loss.backward()  # as every process has the whole loss, the rows' gradients are three times as large
        for table in tables.tables:
            table.looked_up = [(index, rows) for index, rows in table.looked_up if _shrink(rows, processes.n)]
        tables.exchange_gradients()
        norm = float(tables.norm(list(model.parameters())))
        clip_gradients(model.parameters(), clip_norm, tables.norm)
        return norm, {name: each.grad.to_dense() for name, each in model.named_parameters() if each.grad is not None}

    expected = whole_gradients(3)
    norm = float(gradient_norm(list(expected.parameters())))
    clip_gradients(expected.parameters(), clip_norm)
    found = together(3, work)
    for own_norm, gradients in found:
        assert own_norm == found[0][0], "to the last bit, or the layers of the processes would differ"
        assert own_norm == pytest.approx(norm, rel=1e-6)
        torch.testing.assert_close(gradients["layer.weight"], expected.layer.weight.grad)
    users = torch.cat([gradients["users.weight"] for _, gradients in found])
    torch.testing.assert_close(users, expected.users.weight.grad)


def _shrink(rows: Tensor, n: int) -> bool:
    assert rows.grad is not None
    rows.grad.div_(n)
    return True


def test_a_loss_that_uses_a_divided_table_as_a_whole_is_an_error() -> None:
    def work(processes: ThreadProcesses) -> None:
        model = Model()
        tables = divided(processes, model)
        loss = tables.attempt(lambda: model.loss(*batch(0)) + model.items.weight.sum())
        loss.backward()
        tables.exchange_gradients()

    with pytest.raises(
        TrainingError, match=r"items\.weight is divided among processes, and the loss used it as a whole"
    ):
        together(2, work)


def test_a_row_that_is_none_is_an_error_in_the_process_that_asks_for_it_alone() -> None:
    def work(processes: ThreadProcesses) -> str:
        model = Model()
        tables = divided(processes, model)
        wanted = torch.tensor([[N_USERS if processes.rank == 1 else 2]])
        try:
            tables.attempt(lambda: model.users(wanted))
        except IndexError as error:
            return str(error)
        return ""

    assert together(3, work) == ["", f"row {N_USERS} was looked up in users.weight, which has {N_USERS} rows", ""]


@pytest.mark.parametrize("setting", [{"padding_idx": 0}, {"max_norm": 1.0}, {"scale_grad_by_freq": True}])
def test_embeddings_that_do_more_than_rows_are_refused(setting: dict[str, Any]) -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.items = nn.Embedding(N_ITEMS, 3, **setting)

    with pytest.raises(ConfigError, match=r"items\.weight is an embedding with padding_idx"):
        together(2, lambda processes: divided(processes, Padded()))
    with pytest.raises(ConfigError, match="no embedding of users or of items"):
        together(2, lambda processes: divided(processes, nn.Linear(N_ITEMS, 3)))


def test_vectors_are_those_of_the_rows_of_a_process() -> None:
    def work(processes: ThreadProcesses) -> tuple[Tensor, Tensor]:
        model = Model()
        users, items = divided(processes, model).vectors(model)
        return users.detach(), items.detach()

    found, expected = together(3, work), Model().vectors()
    for place in (0, 1):
        torch.testing.assert_close(torch.cat([each[place] for each in found]), expected[place])

    class Whole(Model):
        def vectors(self) -> tuple[Tensor, Tensor]:
            return torch.zeros(N_USERS, 3), self.items.weight

    with pytest.raises(TrainingError, match=r"vectors\(\) of Whole must be those of the .* rows a process has"):
        together(2, lambda processes: divided(processes, model := Whole()).vectors(model))


def trained(model: Model, optimizer: torch.optim.Optimizer, tables: ShardedTables | None, rank: int, n: int) -> None:
    """Do two steps on the batches of all processes, of which each has its own if tables are divided."""
    for _ in range(2):
        optimizer.zero_grad()
        for each in range(n) if tables is None else [rank]:
            loss = model.users(batch(each)[0]).sin().sum() + model.items(batch(each)[1]).square().sum()
            if tables is not None:
                tables.finish()
            loss.backward()
        if tables is not None:
            tables.exchange_gradients()
        optimizer.step()


@pytest.mark.parametrize("bits", ["float32", "bf16"])
def test_a_state_that_was_put_together_is_that_of_one_process_and_is_dealt_to_any_number(bits: str) -> None:
    def prepared(model: Model) -> RowOptimizer:
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                module.sparse = True
        found = lazy_adam([model.users.weight, model.items.weight, *model.layer.parameters()], state_precision=bits)
        assert isinstance(found, RowOptimizer)
        return found

    alone = Model()
    optimizer = prepared(alone)
    trained(alone, optimizer, None, 0, 3)

    def work(processes: ThreadProcesses) -> dict[str, Any]:
        model = Model()
        tables = divided(processes, model)
        own = prepared(model)
        own.first_rows = {table.weight: table.rows.start for table in tables.tables}
        trained(model, own, tables, processes.rank, 3)
        state = {"model": model.state_dict(), "optimizer": own.state_dict(), "kept": 5}
        return TableStates(processes, own).whole(state)

    whole = together(3, work)[0]
    assert whole["kept"] == 5
    for name, expected in alone.state_dict().items():
        torch.testing.assert_close(whole["model"][name], expected, rtol=1e-6, atol=1e-7)
    for number, entries in optimizer.state_dict()["state"].items():
        for name, expected in entries.items():
            found = whole["optimizer"]["state"][number][name]
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)

    def restored(processes: ThreadProcesses) -> dict[str, Any]:
        model = Model()
        divided(processes, model)
        own = prepared(model)
        states = TableStates(processes, own)
        if processes.leads:
            processes.tell(states.without_rows(whole))
        dealt = states.dealt(whole if processes.leads else processes.listen())
        model.load_state_dict(dealt["model"])
        own.load_state_dict(dealt["optimizer"])
        return TableStates(processes, own).whole({"model": model.state_dict(), "optimizer": own.state_dict()})

    for n in (1, 2, 4):
        again = together(n, restored)[0]
        for name, tensor in whole["model"].items():
            assert torch.equal(again["model"][name], tensor), name
        for number, entries in whole["optimizer"]["state"].items():
            for name, tensor in entries.items():
                assert torch.equal(again["optimizer"]["state"][number][name], tensor), name


def test_a_state_of_other_tables_and_rows_that_are_not_finite_are_errors() -> None:
    def work(processes: ThreadProcesses, *, spoilt: bool) -> None:
        model = Model()
        tables = divided(processes, model)
        states = TableStates(processes, lazy_adam(model.parameters()))
        if not spoilt:
            states.without_rows({"model": {**Model().state_dict(), "items.weight": torch.zeros(N_ITEMS + 1, 3)}})
        elif processes.rank == 1:
            tables.tables[1].weight.data[0, 0] = torch.nan
        states.whole({"model": model.state_dict()})

    with pytest.raises(ValueError, match=r"items\.weight has 8 rows there, 7 here"):
        together(2, lambda processes: work(processes, spoilt=False))
    with pytest.raises(TrainingError, match=r"the model is not finite: items\.weight"):
        together(2, lambda processes: work(processes, spoilt=True))
