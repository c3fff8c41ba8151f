"""Code as users write it, for tests to put into files."""

from __future__ import annotations

PRODUCT_OF_EMBEDDINGS = """\
    def __init__(self, data, *, embedding_dim: int = 8) -> None:
        super().__init__()
        self.data = data
        self.users = torch.nn.Embedding(data.n_users, embedding_dim)
        self.items = torch.nn.Embedding(data.n_items, embedding_dim)
        self.initialize(0.1)

    def forward(self, users, items):
        return (self.users(users) * self.items(items)).sum(-1)

    def vectors(self):
        return self.users.weight, self.items.weight
"""
"""The methods of a model that scores by the product of embeddings; the file imports torch."""
