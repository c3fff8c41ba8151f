"""The model `gru4rec`."""

from __future__ import annotations

import torch

from recrun.data.interactions import TrainingData
from recrun.models.gru4rec import GRU4Rec


def test_scores_are_those_of_the_units_equations(in_order: TrainingData) -> None:
    torch.manual_seed(4)
    model = GRU4Rec(in_order, max_length=4, embedding_dim=5, hidden_dim=3).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    gru = model.gru
    weights, biases = (gru.weight_ih_l0, gru.weight_hh_l0), (gru.bias_ih_l0, gru.bias_hh_l0)
    scores = model.score(torch.arange(6))
    for user, history in {0: [3, 1, 4], 3: [6, 0, 7, 1], 5: [0, 5]}.items():
        hidden = torch.zeros(3)
        for item in history:
            of_item = (weights[0] @ model.items.weight[item] + biases[0]).chunk(3)
            of_hidden = (weights[1] @ hidden + biases[1]).chunk(3)
            reset, update = torch.sigmoid(of_item[0] + of_hidden[0]), torch.sigmoid(of_item[1] + of_hidden[1])
            candidate = torch.tanh(of_item[2] + reset * of_hidden[2])
            hidden = (1 - update) * candidate + update * hidden
        torch.testing.assert_close(scores[user], model.items.weight @ model.output(hidden))


def test_it_forgets_what_lies_before_the_longest_history(in_order: TrainingData) -> None:
    torch.manual_seed(4)
    short = GRU4Rec(in_order, max_length=2, embedding_dim=5, hidden_dim=3)
    long = GRU4Rec(in_order, max_length=9, embedding_dim=5, hidden_dim=3)
    long.load_state_dict(short.state_dict())
    differs = (short.score(torch.arange(6)) != long.score(torch.arange(6))).any(1)
    assert differs.tolist() == [True, False, False, True, False, False]
