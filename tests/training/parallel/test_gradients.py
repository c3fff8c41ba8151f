"""The gradients of several processes add up to those of one, in rows, sparse or whole, the same in each process."""

from __future__ import annotations

from tests.training.parallel.ranks import run_ranks

ADDED = """
from recrun.data.tokenizer import RowEmbedding
from recrun.training.parallel.gradients import GradientExchange
torch.manual_seed(0)
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rows, self.sparse = RowEmbedding(50, 4), torch.nn.Embedding(30, 3, sparse=True)
        self.mixed, self.unused = RowEmbedding(20, 2), torch.nn.Parameter(torch.zeros(5))
        self.some = torch.nn.Parameter(torch.randn(7)); self.one_sided = RowEmbedding(9, 2)
    def forward(self, part):
        rows = [part, part + 3, part]
        loss = sum(self.rows(each).square().sum() * (n + 1) for n, each in enumerate(rows))
        loss = loss + self.sparse(part % 30).sin().sum() + self.mixed(part % 20).cos().sum()
        return loss
alone, shared = Model(), Model()
shared.load_state_dict(alone.state_dict())
exchange = GradientExchange(shared, shared.parameters(), processes)
everything = torch.tensor([[1, 4, 4], [40, 1, 22], [8, 9, 2]])
for step in range(3):
    for model in (alone, shared):
        model.zero_grad(set_to_none=step < 2)
    whole = sum(alone(part) for part in everything)
    mine = shared(everything[rank])
    if True:  # one process uses a table as a whole and a parameter, another does not
        whole = whole + alone.mixed.weight.square().sum() + alone.some.sum() + alone.one_sided(torch.arange(3)).sum()
        if rank == 1:
            mine = mine + shared.mixed.weight.square().sum() + shared.some.sum()
            mine = mine + shared.one_sided(torch.arange(3)).sum()
    whole.backward(); mine.backward()
    (loss,) = exchange.add_up([mine])
    assert torch.allclose(loss, whole, rtol=1e-6), (loss, whole)
    for (name, one), other in zip(alone.named_parameters(), shared.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None), name
        if one.grad is not None:
            assert other.grad.is_sparse == one.grad.is_sparse, name
            torch.testing.assert_close(other.grad.to_dense(), one.grad.to_dense(), rtol=1e-6, atol=1e-7)
            of_all = processes.gather(other.grad.to_dense())
            assert all(torch.equal(each, of_all[0]) for each in of_all), name
assert exchange.add_up([], goes_on=rank > 0) is None
print("equal")
"""


def test_gradients_add_up() -> None:
    assert run_ranks(ADDED, 3) == [(0, "equal\n")] * 3
