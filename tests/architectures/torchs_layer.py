"""torch's layer of a Transformer with the weights of a block, for comparison."""

from __future__ import annotations

from typing import Any

from torch import nn

from recrun.architectures.attention import AttentionBlock


def torchs_layer(block: AttentionBlock | nn.Module, **form: Any) -> nn.TransformerEncoderLayer:
    """Return torch's layer with the weights of a block, in evaluation mode.

    Args:
        block: an `AttentionBlock` with a projection after the attention.
        form: what torch's layer is told beside the sizes, such as `activation`.
    """
    assert isinstance(block, AttentionBlock)
    sizes = block.form
    layer = nn.TransformerEncoderLayer(sizes.dim, sizes.n_heads, sizes.inner_dim, batch_first=True, **form)
    names = {
        "attention.inputs.": "self_attn.in_proj_",
        "attention.output.": "self_attn.out_proj.",
        "inner.": "linear1.",
        "outer.": "linear2.",
        "norms.0.": "norm1.",
        "norms.1.": "norm2.",
    }
    state = block.state_dict()
    layer.load_state_dict({names[name] + kind: state[name + kind] for name in names for kind in ("weight", "bias")})
    return layer.eval()
