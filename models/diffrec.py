"""DiffRec: a diffusion model of users' interactions.

Shapes: B users in a batch, I items, T steps of noise, H hidden units, E dimensions of a step's embedding.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.prediction import Batch
from recrun.architectures.whole_rows import AutoencoderArch
from recrun.registry import MODELS
from recrun.types import Annotated, AppliesIf, Fraction, PositiveFloat, PositiveInt, Where

if TYPE_CHECKING:
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import CSR, TrainingData

_KEPT: Final = 10
"""Losses of a step that are kept for choosing steps."""
_UNIFORM: Final = 0.001
"""Share of the uniform distribution in that of the steps."""
_FIRST_VARIANCE: Final = 1e-5
"""Variance that the first step adds: small, so that the last prediction is of almost clean rows."""
_LONGEST_PERIOD: Final = 10000.0


def variances(n_steps: int, scale: float, smallest: float, largest: float) -> list[float]:
    """Return the variances β (T,) that steps add, for total variances that rise linearly."""
    span = max(1, n_steps - 1)
    totals = [scale * (smallest + (largest - smallest) * step / span) for step in range(n_steps)]
    kept = [1.0, *(1 - total for total in totals)]
    return [_FIRST_VARIANCE, *(min(1 - after / before, 0.999) for before, after in pairwise(kept[1:]))]


def embed_steps(steps: Tensor, dim: int) -> Tensor:
    """Return the cosines and sines (B, E) of steps (B,), with periods from 2π to 20,000π."""
    rates = torch.exp(-math.log(_LONGEST_PERIOD) * torch.arange(dim // 2, device=steps.device) / (dim // 2))
    angles = steps[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=1)


@MODELS.register("diffrec", loss="row_mse", losses=("row_mse",), vectors=False, new_users=True, gradients="mixed")
class DiffRec(AutoencoderArch):
    """Learn to remove noise from users' rows, and rank by rows after the removal, step by step.

    A row x₀ with the noise of t steps is x_t = √a_t x₀ + √(1 - a_t) ε, with a_t = (1 - β_1) ... (1 - β_t). A network of
    tanh layers predicts x₀ from x_t, with dropout in training, and from an embedding of t. In training each user of a
    batch has one step t, drawn in proportion to the root of the mean square of its last 10 losses (uniformly until each
    step has as many), and the loss of the row is divided by T times the probability of t. With `reweight` it is also
    multiplied by a_{t-1} / (1 - a_{t-1}) - a_t / (1 - a_t), and by 1 for the first step.

    Ranking starts from the user's row as if it were x_T, without adding noise, and takes the mean of x_{t-1} given x_t
    and the prediction, down to the prediction of the first step. That is the inference of all configs for clean data in
    the authors' code; corrupting the row first, and noise on the way, are not built.

    *Source:* Wang, Xu, Feng, Lin, He, Chua, "Diffusion Recommender Model", SIGIR 2023, section 3, with the
    prediction of x₀, and its authors' code (mean_type x0, noise_schedule linear-var).

    Args:
        latent_dim: units of the network's innermost layer.
        hidden_layer: whether there is a layer on either side of it.
        hidden_dim: H, units of these layers.
        step_dim: E, dimensions of the embedding of a step, an even number.
        dropout: dropout rate of the noisy row.
        n_noise_steps: T.
        noise_scale: factor of the next two.
        noise_min: total variance of the noise after the first step, which sets the others only: see `variances`.
        noise_max: total variance of the noise after the last step.
        reweight: whether losses are weighted by the fall of the signal-to-noise ratio.
    """

    tensor_axes: ClassVar[dict[str, str]] = {"losses": "", "counts": ""}
    rereads_scores = True
    losses: Tensor
    counts: Tensor

    def __init__(
        self,
        data: TrainingData,
        *,
        latent_dim: PositiveInt = 1000,
        hidden_layer: bool = False,
        hidden_dim: Annotated[PositiveInt, AppliesIf("hidden_layer", "hidden_layer is false")] = 600,
        step_dim: Annotated[PositiveInt, Where("step_dim % 2 == 0", "expected an even number, found {step_dim}")] = 10,
        dropout: Fraction = 0.5,
        n_noise_steps: PositiveInt = 5,
        noise_scale: PositiveFloat = 0.01,
        noise_min: Annotated[
            PositiveFloat, Where("noise_min <= noise_max", "expected at most noise_max {noise_max}, found {noise_min}")
        ] = 0.001,
        noise_max: Annotated[
            PositiveFloat,
            Where("noise_scale * noise_max < 1", "times noise_scale {noise_scale} expected below 1, found {noise_max}"),
        ] = 0.01,
        reweight: bool = False,
    ) -> None:
        super().__init__(data)
        self.n_items, self.dropout, self.reweight = data.n_items, dropout, reweight
        self.betas = variances(n_noise_steps, noise_scale, noise_min, noise_max)
        self.kept = [math.prod(1 - beta for beta in self.betas[: step + 1]) for step in range(n_noise_steps)]
        sizes = [hidden_dim, latent_dim, hidden_dim] if hidden_layer else [latent_dim]
        self.steps = nn.Linear(step_dim, step_dim)
        self.inputs = nn.Parameter(torch.empty(data.n_items, sizes[0]))
        self.step_inputs = nn.Linear(step_dim, sizes[0])  # the first layer's weights of the step, and its bias
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.outputs = nn.Linear(sizes[-1], data.n_items)
        self.initialize()
        first_std = math.sqrt(2 / (data.n_items + step_dim + sizes[0]))
        for weights in (self.inputs, self.step_inputs.weight):
            nn.init.normal_(weights, std=first_std)
        for name, bias in self.named_parameters():
            if name.endswith("bias"):
                nn.init.normal_(bias, std=0.001)
        # The last losses of each step, the latest at the end, and how many there are of them; kept for a resume.
        self.register_buffer("losses", torch.zeros(n_noise_steps, _KEPT))
        self.register_buffer("counts", torch.zeros(n_noise_steps, dtype=torch.int64))

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of the rows of a batch's users (B, 1), each predicted from its row with noise."""
        users = batch[self.user_column][:, 0]
        rows_BI = self.rows.dense(users).to(self.inputs.dtype)
        steps_B, shares_B = self.draw_steps(len(users))
        kept_B1 = rows_BI.new_tensor(self.kept)[steps_B][:, None]
        noisy_BI = kept_B1.sqrt() * rows_BI + (1 - kept_B1).sqrt() * torch.randn_like(rows_BI)
        predicted_BI = self.predict(noisy_BI, steps_B)
        weights_B = rows_BI.new_tensor(self.step_weights())[steps_B]
        self._remember(steps_B, weights_B * (predicted_BI.detach() - rows_BI).square().mean(dim=1))
        # The squared error times a weight is that of rows times its root.
        roots_B1 = (weights_B / (len(self.betas) * shares_B)).sqrt()[:, None]
        return criterion.from_rows(roots_B1 * predicted_BI, roots_B1 * rows_BI)

    def step_weights(self) -> list[float]:
        """Return the weights (T,) of the losses of steps, without those for how they are drawn."""
        if not self.reweight:
            return [1.0] * len(self.betas)
        ratios = [kept / (1 - kept) for kept in self.kept]
        return [1.0, *(before - after for before, after in pairwise(ratios))]

    def draw_steps(self, n_rows: int) -> tuple[Tensor, Tensor]:
        """Return steps (B,) from 0 to T - 1 and their probabilities (B,)."""
        n_steps = len(self.betas)
        if not bool((self.counts == _KEPT).all()):
            shares_T = torch.full_like(self.losses[:, 0], 1 / n_steps)
        else:
            roots_T = self.losses.square().mean(dim=1).sqrt()
            shares_T = (1 - _UNIFORM) * roots_T / roots_T.sum() + _UNIFORM / n_steps
        steps_B = torch.multinomial(shares_T, n_rows, replacement=True)
        return steps_B, shares_T[steps_B]

    def _remember(self, steps_B: Tensor, losses_B: Tensor) -> None:
        """Put the losses of a batch behind those of their steps, of which the latest are kept."""
        for step in range(len(self.betas)):
            found = losses_B[steps_B == step].to(self.losses.dtype)
            self.losses[step] = torch.cat([self.losses[step], found])[-_KEPT:]
            self.counts[step] = (self.counts[step] + len(found)).clamp(max=_KEPT)

    def predict(self, noisy: Tensor, steps: Tensor) -> Tensor:
        """Return the predicted rows (B, I) of rows with noise (B, I) and their steps (B,)."""
        steps_BE = self.steps(embed_steps(steps.to(noisy.dtype), self.steps.in_features))
        noisy = F.dropout(noisy, self.dropout, self.training)
        layer = torch.tanh(noisy @ self.inputs + self.step_inputs(steps_BE))
        for hidden in self.hidden:
            layer = torch.tanh(hidden(layer))
        predicted: Tensor = self.outputs(layer)
        return predicted

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I), given as their items."""
        rows_BI = self.inputs.new_zeros(histories.n_rows, self.n_items)
        rows_BI[tuple(torch.from_numpy(each).to(rows_BI.device, torch.int64) for each in histories.pairs())] = 1
        return self.score_rows(rows_BI)

    def score_rows(self, rows: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I) of zeros and ones."""
        for step in reversed(range(len(self.betas))):
            predicted = self.predict(rows, torch.full_like(rows[:, 0], step))
            beta, after, before = self.betas[step], self.kept[step], self.kept[step - 1] if step else 1.0
            of_prediction = beta * math.sqrt(before) / (1 - after)
            of_noisy = (1 - before) * math.sqrt(1 - beta) / (1 - after)
            rows = of_prediction * predicted + of_noisy * rows
        return rows
