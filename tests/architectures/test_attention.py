"""Self-attention over histories, and the forms of its blocks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recrun.architectures.activations import ACTIVATIONS
from recrun.architectures.attention import AttentionBlock, BlockForm, SelfAttention
from tests.architectures.torchs_layer import torchs_layer

DIM, WIDTH, LENGTH = 6, 10, 4


def _block(**form: Any) -> AttentionBlock:
    torch.manual_seed(4)
    block = AttentionBlock(BlockForm(**{"dim": DIM, "n_heads": 2, "inner_dim": WIDTH, **form}))
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    return block.eval()


def _states() -> Tensor:
    return torch.randn(3, LENGTH, DIM, generator=torch.Generator().manual_seed(5))


def _torchs(attention: SelfAttention, queries: Tensor, states: Tensor, *, projects: bool = True) -> Tensor:
    """Return what torch's attention makes of the same weights, causal."""
    torchs = nn.MultiheadAttention(DIM, 2, batch_first=True)
    own = torchs.state_dict()
    own["in_proj_weight"], own["in_proj_bias"] = attention.inputs.weight, attention.inputs.bias
    if projects:
        own["out_proj.weight"], own["out_proj.bias"] = attention.output.weight, attention.output.bias  # type: ignore[assignment]
    else:
        own["out_proj.weight"], own["out_proj.bias"] = torch.eye(DIM), torch.zeros(DIM)
    torchs.load_state_dict(own)
    hidden = torch.ones(LENGTH, LENGTH).triu(1).bool()
    mixed: Tensor = torchs(queries, states, states, attn_mask=hidden)[0]
    return mixed


def _network(block: AttentionBlock, states: Tensor, activation: str) -> Tensor:
    hidden = ACTIVATIONS[activation]()(states @ block.inner.weight.T + block.inner.bias)
    return hidden @ block.outer.weight.T + block.outer.bias


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "tanh"])
def test_a_block_with_norms_behind_is_torchs_encoder_layer(activation: str) -> None:
    block, states = _block(norm="post", activation=activation), _states()
    torchs = torchs_layer(block, activation=ACTIVATIONS[activation]())
    expected = torchs(states, src_mask=torch.ones(LENGTH, LENGTH).triu(1).bool())
    torch.testing.assert_close(block(states), expected)


def test_a_block_with_norms_before_is_torchs_encoder_layer_with_norm_first() -> None:
    block, states = _block(norm="pre"), _states()
    torchs = torchs_layer(block, norm_first=True)
    expected = torchs(states, src_mask=torch.ones(LENGTH, LENGTH).triu(1).bool())
    torch.testing.assert_close(block(states), expected)


@pytest.mark.parametrize("residual", ["input", "query"])
@pytest.mark.parametrize("projects", [True, False])
def test_with_normalised_queries_keys_and_values_are_of_the_input(residual: str, projects: bool) -> None:
    block, states = _block(norm="query", attention_residual=residual, projects_attention=projects), _states()
    first, second = block.norms
    queries = first(states)
    mixed = _torchs(block.attention, queries, states, projects=projects)
    normed = second(mixed + (queries if residual == "query" else states))
    torch.testing.assert_close(block(states), normed + _network(block, normed, "relu"))


def test_each_rate_drops_what_it_names_and_in_training_only() -> None:
    states = _states()
    plain = _block()(states)
    for rate in ("dropout", "attention_dropout", "inner_dropout"):
        block = _block(**{rate: 0.5})
        torch.testing.assert_close(block(states), plain)
        block.train()
        assert not torch.equal(block(states), block(states)), rate
    torch.manual_seed(6)
    kept = _block(dropout=0.9, drops_attention=False).train()
    nn.init.zeros_(kept.outer.weight)
    nn.init.zeros_(kept.outer.bias)
    torch.testing.assert_close(kept(states), kept(states))  # the network adds nothing, and attention is not dropped


def test_attention_to_both_sides_sees_no_padding() -> None:
    block, states = _block(norm="post"), _states()
    visible = torch.tensor([[True, True, True, False]] * 3)
    changed = states.clone()
    changed[:, 3] = 7.0
    torch.testing.assert_close(block(states, visible)[:, :3], block(changed, visible)[:, :3])
    later = states.clone()
    later[:, 2] = 7.0
    assert not torch.allclose(block(states, visible)[:, 0], block(later, visible)[:, 0]), "it is not causal"
