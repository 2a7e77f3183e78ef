"""The losses' gradient is the one that the credit they are given stands for (torch).

With a table of logits the policy gradient of any advantages is known (`algorithms.truth`), so what
the other files here prove of credit holds for the losses too. What a batch is divided by, and what
a truncated play is given, are part of that.
"""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from pytest import approx

from algorithms import losses, truth
from algorithms.credit import discounted_returns, gae, group_relative, leave_one_out
from algorithms.credit.groups import spread
from algorithms.truth import Floats, Play
from tests.support.enumeration import MICROWAVE, STOP, Batch, Scene, groups_of, scene


def loss_gradient(
    of: Scene,
    plays: Sequence[Play],
    advantages_ET: Sequence[Floats],
    loss: str = "policy_gradient",
    total: float | None = 1.0,
) -> Floats:
    """Minus the gradient of the loss by the logits; each play weighs in with its probability."""
    chances = torch.tensor(of.table.chances)
    logits = chances.log().requires_grad_()
    rows = torch.tensor(of.table.rows)
    exp = logits.exp()
    table = logits - torch.zeros(int(rows[-1]) + 1).double().index_add(0, rows, exp).log()[rows]
    shape = (len(plays), max(len(advantages_T) for advantages_T in advantages_ET))
    places, weighted = torch.zeros(shape, dtype=torch.long), torch.zeros(shape).double()
    mask = torch.zeros(shape, dtype=torch.bool)
    for row, (play, advantages_T) in enumerate(zip(plays, advantages_ET, strict=True)):
        turns = len(advantages_T)
        places[row, :turns] = torch.from_numpy(truth.places_of(of.table, [play])[:turns])
        weighted[row, :turns] = torch.from_numpy(play.probability * advantages_T)
        mask[row, :turns] = True
    logprobs = table[places]
    if loss == "ppo_clip":
        output = losses.ppo_clip(logprobs, logprobs.detach(), weighted, mask, total=total)
    else:
        output = losses.policy_gradient(logprobs, weighted, mask, total=total)
    return -torch.autograd.grad(output.loss, logits)[0].numpy()


def monte_carlo(batch: Batch) -> list[Floats]:
    return [discounted_returns(rewards_T, 1.0) for rewards_T in batch.rewards_ET]


def standardised(batch: Batch) -> list[Floats]:
    return spread(group_relative(batch.returns_E, batch.groups_E), batch.turns_E)


@pytest.mark.parametrize("loss", ["policy_gradient", "ppo_clip"])
@pytest.mark.parametrize("credit", [monte_carlo, standardised])
def test_a_loss_moves_the_logits_as_its_credit_says(of: Scene, credit, loss: str):
    batch = of.grouped
    expected = truth.gradient(of.table, batch.plays, credit(batch))
    assert loss_gradient(of, batch.plays, credit(batch), loss) == approx(expected, abs=1e-8)


@pytest.mark.parametrize("loss", ["policy_gradient", "ppo_clip"])
def test_the_loss_of_monte_carlo_returns_has_the_true_gradient(of: Scene, loss: str):
    found = loss_gradient(of, of.alone.plays, monte_carlo(of.alone), loss)
    assert found == approx(of.gradient, abs=1e-8)


def test_dividing_by_the_number_of_tokens_that_came_up_is_biased_and_a_fixed_total_is_not():
    of = scene(STOP)
    pairs = groups_of(of.alone.plays, size=2)
    advantages_ET = spread(leave_one_out(pairs.returns_E, pairs.groups_E), pairs.turns_E)

    def mean(total: float | None) -> Floats:
        """Each pair is a batch of its own."""
        parts = [
            loss_gradient(of, pairs.plays[at : at + 2], advantages_ET[at : at + 2], total=total)
            for at in range(0, len(pairs.plays), 2)
        ]
        return np.sum(parts, axis=0)

    assert mean(1.0) == approx(of.gradient, abs=1e-8)
    # a fixed divisor leaves the direction alone; a divisor that goes with the length turns it
    assert truth.cosine(mean(None), of.gradient) < 0.999


def test_at_truncation_only_the_value_of_the_cut_state_keeps_the_gradient():
    """Cut after three turns: the gradient of those turns' choices is that of the whole game."""
    of, cut = scene(MICROWAVE), 3
    plays, values_ET = of.alone.plays, [truth.true_values(of.solution, p) for p in of.alone.plays]
    full = [
        gae(play.rewards_T, values_T, 1.0, 1.0)[:cut]
        for play, values_T in zip(plays, values_ET, strict=True)
    ]
    expected = loss_gradient(of, plays, full)

    def cut_short(bootstrapped: bool) -> list[Floats]:
        advantages_ET: list[Floats] = []
        for play, values_T in zip(plays, values_ET, strict=True):
            truncated = len(play.keys_T) > cut
            behind = values_T[cut] if truncated and bootstrapped else 0.0
            advantages_ET.append(discounted_returns(play.rewards_T[:cut], 1.0, behind))
        return advantages_ET

    assert loss_gradient(of, plays, cut_short(bootstrapped=True)) == approx(expected, abs=1e-8)
    wrong = loss_gradient(of, plays, cut_short(bootstrapped=False))
    assert np.abs(wrong - expected).max() > 0.01
