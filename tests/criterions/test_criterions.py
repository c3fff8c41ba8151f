"""Losses: numbers worked by hand, gradients, extremes, and the methods that the training loop calls."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from torch import Tensor

from recrun.criterions import (
    BaseCriterion,
    BCELoss4Logits,
    BPRLoss,
    BPRMaxLoss,
    BSLLoss,
    CCLLoss,
    CrossEntropy4Logits,
    DirectAULoss,
    GBCELoss,
    HingeLoss,
    L1Loss,
    MSELoss,
    MultinomialLoss,
    RowMSELoss,
    SampledSoftmax,
    TOP1Loss,
    TOP1MaxLoss,
    WARPLoss,
    WholeDataLoss,
)
from recrun.errors import ConfigError, TrainingError
from recrun.registry import LOSSES
from recrun.registry.read_object import describe_object

SAMPLED = [component.name for component in LOSSES if component.traits.takes_negatives]
N_ITEMS = 11


def build(name: str, reduction: str = "mean") -> BaseCriterion:
    loss: BaseCriterion = LOSSES.get(name)(reduction)
    loss.bind(N_ITEMS)
    return loss


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def scores_of(rows: int = 5, negatives: int = 4, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(rows, 1 + negatives, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_every_loss_states_its_source_and_how_many_negatives_it_needs() -> None:
    for component in LOSSES:
        assert component.traits.min_negatives >= 1
        assert component.source, f"{component.name} has no source"


def test_traits_read_from_the_source_agree_with_the_classes() -> None:
    for component in LOSSES:
        described = describe_object("loss", component.name, LOSSES.get(component.name), component.traits)
        assert component.parameters == described.parameters
        assert all(parameter.help for parameter in component.parameters)


def test_bpr_of_the_seed_is_the_mean_over_vectors() -> None:
    pos, neg = torch.tensor([1.0, 0.0, -2.0]), torch.tensor([0.0, 0.0, 1.0])
    expected = -(math.log(sigmoid(1.0)) + math.log(0.5) + math.log(sigmoid(-3.0))) / 3
    assert BPRLoss()(pos, neg).item() == pytest.approx(expected, rel=1e-6)


def test_bpr_with_several_negatives_is_the_mean_over_pairs() -> None:
    scores = torch.tensor([[1.0, 0.0, 3.0]])
    expected = -(math.log(sigmoid(1.0)) + math.log(sigmoid(-2.0))) / 2
    assert BPRLoss().from_scores(scores).item() == pytest.approx(expected, rel=1e-6)


def test_bpr_never_broadcasts_vectors_to_a_matrix() -> None:
    pos, neg = torch.tensor([1.0, 2.0]), torch.tensor([[0.0, 0.5], [1.0, -1.0]])
    terms = BPRLoss("none")(pos, neg)
    assert terms.shape == (2, 2)
    assert torch.allclose(terms, torch.nn.functional.softplus(neg - pos[:, None]))
    assert BPRLoss("none")(pos, neg[:, 0]).shape == (2,)


def test_bce_worked_by_hand() -> None:
    scores = torch.tensor([[2.0, -1.0]])
    expected = -(math.log(sigmoid(2.0)) + math.log(1 - sigmoid(-1.0))) / 2
    assert BCELoss4Logits().from_scores(scores).item() == pytest.approx(expected, rel=1e-6)
    assert BCELoss4Logits()(scores, torch.tensor([[1, 0]])).item() == pytest.approx(expected, rel=1e-6)


def test_mse_and_l1_worked_by_hand() -> None:
    scores = torch.tensor([[0.5, -2.0]])
    assert MSELoss().from_scores(scores).item() == pytest.approx((0.25 + 4.0) / 2)
    assert L1Loss().from_scores(scores).item() == pytest.approx((0.5 + 2.0) / 2)
    assert MSELoss("sum")(torch.tensor([3.0, 1.0]), torch.tensor([5, 1])).item() == 4.0
    assert L1Loss("sum")(torch.tensor([3.0, 1.0]), torch.tensor([5, 1])).item() == 2.0


def test_cross_entropy_worked_by_hand() -> None:
    scores = torch.tensor([[0.0, math.log(2.0), math.log(5.0)]])
    assert CrossEntropy4Logits().from_all(scores, torch.tensor([1])).item() == pytest.approx(math.log(8 / 2), rel=1e-6)


def test_sampled_softmax_worked_by_hand() -> None:
    scores = torch.tensor([[math.log(2.0), math.log(3.0), 0.0]])
    assert SampledSoftmax().from_scores(scores).item() == pytest.approx(math.log(6 / 2), rel=1e-6)
    halved = SampledSoftmax(temperature=0.5).from_scores(scores)
    assert halved.item() == pytest.approx(math.log((4 + 9 + 1) / 4), rel=1e-6)


def test_sampled_softmax_with_one_negative_is_bpr() -> None:
    scores = scores_of(negatives=1)
    assert torch.allclose(SampledSoftmax().from_scores(scores), BPRLoss().from_scores(scores))


def test_multinomial_worked_by_hand() -> None:
    scores = torch.tensor([[math.log(2.0), math.log(3.0), 0.0], [0.0, 0.0, 0.0]])
    terms = MultinomialLoss("none")(scores, torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    assert terms.tolist() == pytest.approx([math.log(6 / 2) + math.log(6 / 3), 0.0], rel=1e-6)


def test_row_mse_is_the_mean_over_all_items() -> None:
    terms = RowMSELoss("none")(torch.tensor([[1.0, 2.0], [0.5, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    torch.testing.assert_close(terms, torch.tensor([2.0, 0.625]))


def test_whole_data_is_the_weighted_squared_error_of_all_cells() -> None:
    random = torch.Generator().manual_seed(5)
    users, items = (torch.randn(n, 3, generator=random, dtype=torch.float64) for n in (4, 7))
    rows = torch.rand(4, 7, generator=random) < 0.4
    rows[2] = False
    weights = torch.where(rows, 1.0, 0.25)
    expected = (weights * (users @ items.T - rows.double()).square()).sum(dim=1)
    places, positives = rows.nonzero(as_tuple=True)
    terms = WholeDataLoss("none", negative_weight=0.25)(users, items, places, positives)
    torch.testing.assert_close(terms, expected)


def test_losses_that_are_not_over_rows_refuse_them() -> None:
    for name in ("bpr", "cross_entropy", "whole_data"):
        with pytest.raises(TrainingError, match="not a loss over users' whole rows"):
            build(name).from_rows(torch.zeros(2, 3), torch.zeros(2, 3))


def test_sampled_softmax_corrected_is_on_average_the_softmax_over_all_items() -> None:
    random = torch.Generator().manual_seed(3)
    scores = torch.randn(6, generator=random, dtype=torch.float64)
    q = torch.tensor([0.4, 0.3, 0.1, 0.15, 0.05], dtype=torch.float64)  # of the items behind the positive
    drawn = torch.multinomial(q, 40000, replacement=True, generator=random)
    loss = SampledSoftmax(temperature=0.5, logq_correction=True)
    row = torch.cat([scores[:1], scores[1:][drawn]])[None]
    expected = CrossEntropy4Logits()(scores[None] / 0.5, torch.tensor([0]))
    assert loss.from_corrected(row, q.log()[drawn][None]).item() == pytest.approx(expected.item(), rel=0.01)
    plain = SampledSoftmax(temperature=0.5).from_scores(row)
    assert plain.item() != pytest.approx(expected.item(), rel=0.1)


def test_the_correction_worked_by_hand() -> None:
    scores = torch.tensor([[math.log(2.0), math.log(3.0), 0.0]])
    log_q = torch.tensor([[0.5, 0.125]]).log()
    # exp(s) / (2 q): 3 / 1 and 1 / 0.25
    assert SampledSoftmax(logq_correction=True).from_corrected(scores, log_q).item() == pytest.approx(
        math.log((2 + 3 + 4) / 2), rel=1e-6
    )


def test_sampling_probabilities_are_required_by_the_correction_and_refused_without_it() -> None:
    scores = scores_of()
    for call in (
        lambda: SampledSoftmax(logq_correction=True).from_scores(scores),
        lambda: SampledSoftmax().from_corrected(scores, scores[:, 1:]),
        lambda: BPRLoss().from_corrected(scores, scores[:, 1:]),
    ):
        with pytest.raises(TrainingError, match="sampling probabilities of negatives"):
            call()


def test_directau_is_that_of_plain_loops_over_pairs() -> None:
    random = torch.Generator().manual_seed(5)
    users, items = (torch.randn(5, 3, generator=random, dtype=torch.float64) for _ in range(2))

    def uniformity(vectors: Tensor) -> float:
        unit = [vector / vector.norm() for vector in vectors]
        pairs = [(a, b) for a in range(5) for b in range(a)]
        return math.log(sum(math.exp(-2 * float((unit[a] - unit[b]).square().sum())) for a, b in pairs) / len(pairs))

    distances = [float((u / u.norm() - v / v.norm()).square().sum()) for u, v in zip(users, items, strict=True)]
    expected = [distance + 3 * (uniformity(users) + uniformity(items)) / 2 for distance in distances]
    loss = DirectAULoss("none", uniformity_weight=3.0)
    assert loss(users, items).tolist() == pytest.approx(expected)
    assert loss(users[:1], items[:1]).tolist() == pytest.approx(distances[:1])
    assert torch.autograd.gradcheck(loss, (users.requires_grad_(), items.requires_grad_()))


def test_gbce_worked_by_hand() -> None:
    loss = GBCELoss(calibration=0.5)
    loss.bind(5)
    scores = torch.tensor([[1.0, 0.5, -1.0]])  # K = 2 of 4 other items: rate 1/2, beta = 1/2 (1/2 (1 - 2) + 2) = 3/4
    expected = -(0.75 * math.log(sigmoid(1.0)) + math.log(1 - sigmoid(0.5)) + math.log(1 - sigmoid(-1.0))) / 3
    assert loss.from_scores(scores).item() == pytest.approx(expected, rel=1e-6)


def test_gbce_without_calibration_is_bce() -> None:
    loss = GBCELoss(calibration=0.0)
    loss.bind(N_ITEMS)
    assert torch.allclose(loss.from_scores(scores_of()), BCELoss4Logits().from_scores(scores_of()))


def test_gbce_with_more_negatives_than_other_items_is_bce() -> None:
    # No more than all items can be sampled: the rate is at most 1, and with it the weight of positives.
    scores = scores_of(negatives=20)
    for n_items in (2, 5, 21):
        loss = GBCELoss(calibration=0.75)
        loss.bind(n_items)
        torch.testing.assert_close(loss.from_scores(scores), BCELoss4Logits().from_scores(scores))


def test_losses_that_depend_on_it_ask_for_the_number_of_items() -> None:
    for loss in (GBCELoss(), WARPLoss()):
        with pytest.raises(TrainingError, match=r"call bind\(n_items\) first"):
            loss.from_scores(scores_of())


def test_hinge_worked_by_hand() -> None:
    scores = torch.tensor([[1.0, 0.75, -3.0]])
    assert HingeLoss().from_scores(scores).item() == pytest.approx((0.75 + 0.0) / 2)
    assert HingeLoss(margin=0.0).from_scores(scores).item() == 0.0


def test_top1_and_the_losses_of_a_soft_maximum_are_those_of_their_equations() -> None:
    scores = 2 * scores_of()
    expected: dict[str, list[float]] = {"top1": [], "top1_max": [], "bpr_max": []}
    for pos, *negs in scores.tolist():
        weights = [math.exp(neg) / sum(map(math.exp, negs)) for neg in negs]
        ranks = [sigmoid(neg - pos) + sigmoid(neg**2) for neg in negs]
        weighted = list(zip(weights, negs, strict=True))
        expected["top1"].append(sum(ranks) / len(negs))
        expected["top1_max"].append(sum(weight * rank for weight, rank in zip(weights, ranks, strict=True)))
        above = sum(weight * sigmoid(pos - neg) for weight, neg in weighted)
        expected["bpr_max"].append(-math.log(above) + 0.3 * sum(weight * neg**2 for weight, neg in weighted))
    losses = {"top1": TOP1Loss("none"), "top1_max": TOP1MaxLoss("none")}
    for name, loss in {**losses, "bpr_max": BPRMaxLoss("none", score_regularization=0.3)}.items():
        torch.testing.assert_close(loss.from_scores(scores), torch.tensor(expected[name], dtype=torch.float64))


def test_losses_of_a_soft_maximum_with_one_negative_are_those_without() -> None:
    scores = scores_of(negatives=1)
    torch.testing.assert_close(BPRMaxLoss(score_regularization=0.0).from_scores(scores), BPRLoss().from_scores(scores))
    torch.testing.assert_close(TOP1MaxLoss().from_scores(scores), TOP1Loss().from_scores(scores))


def test_bpr_max_is_finite_where_every_negative_is_far_above() -> None:
    loss = BPRMaxLoss(score_regularization=0.0).from_scores(torch.tensor([[-500.0, 500.0, 400.0]]))
    assert loss.item() == pytest.approx(1000, rel=1e-3)


def test_warp_worked_by_hand() -> None:
    scores = torch.tensor([[1.0, 0.75, -3.0, 2.0, -1.0], [5.0, 0.0, 1.0, 2.0, 3.0]])
    # Row 0: 2 of 4 negatives violate, so of 10 other items 5: L(5) = 137/60, and hinges of 0.75 and 2. Row 1: none.
    terms = build("warp", "none").from_scores(scores)
    assert terms.tolist() == pytest.approx([137 / 60 * (0.75 + 2.0) / 2, 0.0], rel=1e-6)


def test_warp_with_one_negative_is_that_of_the_paper_with_a_violator_at_the_first_draw() -> None:
    terms = build("warp", "none").from_scores(torch.tensor([[0.5, 0.25]]))
    assert terms.item() == pytest.approx(sum(1 / rank for rank in range(1, N_ITEMS)) * 0.75, rel=1e-6)


def test_warp_weighs_a_violator_that_must_be_rare_as_the_first_rank() -> None:
    loss = WARPLoss("none")
    loss.bind(3)  # fewer other items than negatives
    assert loss.from_scores(torch.tensor([[0.5, 0.5, -9.0, -9.0, -9.0]])).item() == pytest.approx(1.0, rel=1e-6)


def test_bsl_worked_by_hand() -> None:
    scores = torch.tensor([[0.5, math.log(2.0), math.log(4.0)]])
    loss = BSLLoss(temperature=1.0, positive_temperature=2.0)
    assert loss.from_scores(scores).item() == pytest.approx(-0.5 / 2 + math.log(6 / 2) / 2, rel=1e-6)
    loss = BSLLoss(temperature=1.0, positive_temperature=2.0, negative_exponent=1.5)
    assert loss.from_scores(scores).item() == pytest.approx(-0.5 / 2 + 1.5 * math.log(6 / 2), rel=1e-6)


USERS = torch.tensor([3, 8, 3, 3, 8, 0])
BSL_SETTINGS = [
    (0.08, 0.08, 1.22),  # that of the authors on Gowalla
    (0.1, 0.1, None),
    (0.1, 0.4, None),
    (0.5, 0.05, 0.3),
    (2.0, 1.0, 1.0),
]


@pytest.mark.parametrize(("negative", "positive", "exponent"), BSL_SETTINGS)
def test_bsl_is_its_formula_on_dense_matrices(negative: float, positive: float, exponent: float | None) -> None:
    scores = torch.tanh(scores_of(6)).requires_grad_()
    same = (USERS[:, None] == USERS).double()
    of_user = (same @ (scores[:, 0] / positive).exp()) / same.sum(1)
    of_others = (scores[:, 1:] / negative).exp().mean(1) ** (exponent or negative / positive)
    expected = -(of_user / of_others).log()
    loss = BSLLoss("none", temperature=negative, positive_temperature=positive, negative_exponent=exponent)
    terms = loss.from_users(scores, USERS)
    torch.testing.assert_close(terms, expected)
    found, wanted = (torch.autograd.grad(each.sum(), scores)[0] for each in (terms, expected))
    torch.testing.assert_close(found, wanted)


def _bsl_direction(positive_temperature: float, exponent: float | None, users: Tensor | None) -> Tensor:
    scores = torch.tanh(scores_of(6)).requires_grad_()
    loss = BSLLoss(temperature=0.1, positive_temperature=positive_temperature, negative_exponent=exponent)
    value = loss.from_scores(scores) if users is None else loss.from_users(scores, users)
    (gradient,) = torch.autograd.grad(value, scores)
    return gradient.flatten() / gradient.norm()


@pytest.mark.parametrize(
    ("exponent", "users", "most"),
    [(None, USERS, 0.97), (1.22, USERS, 0.95), (1.22, None, 0.95)],
    ids=["several positives a user", "with an exponent", "an exponent alone"],
)
def test_the_positive_temperature_of_bsl_turns_the_gradient(
    exponent: float | None, users: Tensor | None, most: float
) -> None:
    assert _bsl_direction(0.05, exponent, users) @ _bsl_direction(1.0, exponent, users) < most


def test_the_exponent_of_bsl_turns_the_gradient() -> None:
    assert _bsl_direction(0.1, 1.0, None) @ _bsl_direction(0.1, 3.0, None) < 0.95


def test_the_papers_bsl_with_one_positive_a_user_only_scales_with_the_positive_temperature() -> None:
    for users in (None, torch.arange(6)):
        assert _bsl_direction(0.05, None, users) @ _bsl_direction(1.0, None, users) == pytest.approx(1)


def test_bsl_with_equal_temperatures_and_one_positive_a_user_is_the_softmax_loss() -> None:
    scores = scores_of(6)
    expected = -scores[:, 0] / 0.2 + torch.logsumexp(scores[:, 1:] / 0.2, 1) - math.log(4)
    loss = BSLLoss("none", temperature=0.2, positive_temperature=0.2)
    torch.testing.assert_close(loss.from_users(scores, torch.arange(6)), expected)
    torch.testing.assert_close(loss.from_scores(scores), expected)


@pytest.mark.parametrize("users", [torch.tensor([0]), torch.zeros(6, dtype=torch.int64), torch.zeros(5, 1)])
def test_bsl_refuses_users_that_are_not_one_a_row(users: Tensor) -> None:
    with pytest.raises(TrainingError, match="expected a user for each of 5 rows"):
        BSLLoss().from_users(scores_of(5), users)


def test_bsl_of_one_user_stays_finite_at_extreme_scores() -> None:
    scores = torch.tensor([[-1e4, 1e4], [1e4, -1e4], [0.0, 0.0]], requires_grad=True)
    loss = BSLLoss(temperature=0.01, positive_temperature=0.01).from_users(scores, torch.zeros(3, dtype=torch.int64))
    loss.backward()
    assert torch.isfinite(loss)
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


def test_other_losses_do_not_look_at_the_users() -> None:
    for name in set(SAMPLED) - {"bsl"}:
        assert torch.equal(build(name).from_users(scores_of(6), USERS), build(name).from_scores(scores_of(6)))


def test_ccl_worked_by_hand() -> None:
    scores = torch.tensor([[0.75, 0.5, 0.0]])
    loss = CCLLoss(margin=0.25, negative_weight=8.0)
    assert loss.from_scores(scores).item() == pytest.approx(0.25 + 8 * (0.25 + 0.0) / 2)


@pytest.mark.parametrize("name", SAMPLED)
def test_gradients_are_those_of_the_formula(name: str) -> None:
    scores = scores_of(seed=3).requires_grad_()
    assert torch.autograd.gradcheck(build(name).from_scores, (scores,))


def test_gradients_of_the_full_softmax_are_those_of_the_formula() -> None:
    scores, positives = scores_of(seed=3).requires_grad_(), torch.tensor([0, 1, 4, 4, 2])
    assert torch.autograd.gradcheck(lambda x: CrossEntropy4Logits().from_all(x, positives), (scores,))


@pytest.mark.parametrize("name", SAMPLED)
def test_losses_and_gradients_stay_finite_at_extreme_scores(name: str) -> None:
    scores = torch.tensor([[-1e4, 1e4, 1e4], [1e4, -1e4, -1e4], [0.0, 0.0, 0.0]], requires_grad=True)
    loss = build(name).from_scores(scores)
    loss.backward()
    assert torch.isfinite(loss)
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("name", SAMPLED)
def test_a_better_order_costs_less(name: str) -> None:
    good, bad = torch.tensor([[0.95, -0.5, -0.25]]), torch.tensor([[-0.5, 0.95, -0.25]])
    assert build(name).from_scores(good) < build(name).from_scores(bad)


@pytest.mark.parametrize("name", SAMPLED)
def test_the_reductions_agree(name: str) -> None:
    terms = build(name, "none").from_scores(scores_of())
    assert torch.allclose(build(name, "sum").from_scores(scores_of()), terms.sum())
    assert torch.allclose(build(name, "mean").from_scores(scores_of()), terms.mean())


@pytest.mark.parametrize("name", SAMPLED)
def test_the_mean_does_not_depend_on_how_rows_are_batched(name: str) -> None:
    scores = scores_of(rows=6)
    parts = torch.stack([build(name).from_scores(part) for part in scores.split(2)])
    assert torch.allclose(parts.mean(), build(name).from_scores(scores))


@pytest.mark.parametrize("name", SAMPLED)
def test_a_loss_over_sampled_negatives_refuses_the_full_catalogue(name: str) -> None:
    with pytest.raises(TrainingError, match="sampled negatives"):
        build(name).from_all(scores_of(), torch.zeros(5, dtype=torch.int64))


def test_the_full_softmax_refuses_sampled_negatives() -> None:
    with pytest.raises(TrainingError, match="sampled_softmax"):
        CrossEntropy4Logits().from_scores(scores_of())


def test_a_row_without_negatives_is_an_error() -> None:
    with pytest.raises(TrainingError, match="K >= 1"):
        BPRLoss().from_scores(torch.zeros(3, 1))


def test_vectors_of_different_lengths_are_an_error() -> None:
    with pytest.raises(TrainingError, match="found"):
        BPRLoss()(torch.zeros(3), torch.zeros(1))


def test_predictions_and_targets_of_different_shapes_are_an_error() -> None:
    for loss in (BCELoss4Logits(), MSELoss(), L1Loss()):
        with pytest.raises(TrainingError, match="differ in shape"):
            loss(torch.zeros(3), torch.zeros(3, 1))


def test_an_unknown_reduction_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'mean'"):
        BPRLoss("meen")  # type: ignore[arg-type]


def test_regularize_sums_over_one_or_many_tensors() -> None:
    tensors = [torch.tensor([3.0, -4.0]), torch.tensor([[2.0]])]
    assert BaseCriterion.regularize(tensors[0]).item() == 12.5
    assert BaseCriterion.regularize(tensors, "l2").item() == 14.5
    assert BaseCriterion.regularize(iter(tensors), rtype="l1").item() == 9.0
    assert BaseCriterion.regularize([]).item() == 0.0
    with pytest.raises(ConfigError, match="'l1' or 'l2'"):
        BaseCriterion.regularize(tensors, "l3")  # type: ignore[arg-type]


def test_a_new_loss_is_one_class_with_a_forward() -> None:
    class Difference(BaseCriterion):
        def forward(self, pos: Tensor, neg: Tensor) -> Tensor:
            return self.reduce(neg - pos)

    assert Difference("sum").from_scores(torch.tensor([[1.0, 2.0, 4.0]])).item() == 4.0


def test_reduction_is_the_first_argument_and_no_config_key() -> None:
    for name in LOSSES.names():
        assert next(iter(inspect.signature(LOSSES.get(name)).parameters)) == "reduction"
        assert "reduction" not in [parameter.name for parameter in LOSSES.describe(name).parameters]
