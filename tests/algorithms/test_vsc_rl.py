"""VSC-RL for text: the two terms of its bound, by hand and against what they are made of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest import approx

from agents.hierarchical import Planned, TwoLevels
from agents.lm import LMPolicy
from agents.models import load_model
from agents.rollout import collect
from agents.sampling import Sampling
from algorithms import support, vsc_rl
from algorithms.batch import make_batch
from algorithms.credit import gae
from algorithms.forward import recompute_logprobs
from algorithms.reference import Reference
from algorithms.trainer.levels import Judged
from algorithms.trainer.objective import Objective, Part
from tests.support.language import interrupted_after
from tests.support.levels import KEY, AnyOf, levels, start
from tests.support.training import assert_same_run, metrics

PLANNER = "tests.support.levels:sign_reader"
SHORT = vsc_rl.Config(
    hierarchy=levels(planner=PLANNER),
    iterations=3,
    episodes=6,
    minibatches=2,
    max_new_tokens=6,
    discount=0.9,
)


def played(subgoals: list[str], count: int = 4) -> tuple[LMPolicy, list[Planned]]:
    actor = LMPolicy(*load_model(start()), Sampling(max_new_tokens=6))
    policy = TwoLevels(AnyOf(subgoals), actor, levels(), keep=True)
    return actor, policy.split(collect(KEY, policy, range(count)))


def test_the_loss_is_the_weighted_likelihood_and_its_kl_is_0_before_the_first_step():
    _, planned = played(["red"], count=1)
    actor, _ = played(["red"], count=1)
    tokens = make_batch([planned[0].actor], actor.chat)
    mask, shape = tokens.policy_mask, tokens.ids.shape
    logprobs = torch.full(shape, -2.0, requires_grad=True)
    weights = torch.where(mask, torch.arange(float(shape[1])), 0.0)
    total = float(mask.sum())
    old, entropies = logprobs.detach(), torch.zeros(shape)
    part = Part(tokens, mask, logprobs, entropies, old, weights, None, None, total)
    out = vsc_rl.negative_bound(part, Objective(), divergence=0.5)
    assert out.loss.item() == approx(2.0 * float(weights.sum()) / total)
    assert out.metrics["approx_kl"] == 0.0
    (gradient,) = torch.autograd.grad(out.loss, logprobs)
    assert torch.allclose(gradient, -weights / total)
    # k2 of x = -2 - -3: x^2 / 2 and the gradient x
    near = replace(part, reference=torch.full(shape, -3.0))
    held = vsc_rl.negative_bound(near, Objective(), divergence=0.5)
    assert (held.loss - out.loss).item() == approx(0.25, rel=1e-5)
    (gradient,) = torch.autograd.grad(held.loss, logprobs)
    assert torch.allclose(gradient, torch.where(mask, 0.5 - weights, 0.0) / total, atol=1e-6)


def test_credit_within_a_subgoal_ends_on_the_lambda_return_behind_it():
    _, planned = played(["red", "blue"])
    rng = np.random.default_rng(0)
    values_ET = [rng.normal(size=4) for _ in planned]
    given = vsc_rl.credit(planned, Judged(values_ET, [0.0] * 4), SHORT)
    for one, values_T, found in zip(planned, values_ET, given.advantages_ET, strict=True):
        rewards_T = [turn.reward for turn in one.whole.turns]
        assert one.durations_J == (2, 2)
        second = gae(rewards_T[2:], values_T[2:], 0.9, 0.9)
        first = gae(rewards_T[:2], values_T[:2], 0.9, 0.9, second[0] + values_T[2])
        assert found == approx(np.concatenate([first, second]))


def test_a_subgoal_that_is_met_raises_the_weight_of_what_met_it():
    _, planned = played(["red", "blue"], count=12)
    zeros = Judged([np.zeros(4) for _ in planned], [0.0] * 12)
    paid = vsc_rl.credit(planned, zeros, replace(SHORT, subgoal_reward=1.0, lam=0.0))
    plain = vsc_rl.credit(planned, zeros, replace(SHORT, lam=0.0))
    met = [turn for one in planned for turn in one.fulfilled()]
    assert any(turn is not None for turn in met)
    for one, before, after in zip(planned, plain.advantages_ET, paid.advantages_ET, strict=True):
        gained = np.flatnonzero(after - before)
        assert gained.tolist() == [turn for turn in one.fulfilled() if turn is not None]


def test_the_reference_reads_the_game_without_subgoals():
    actor, planned = played(["red", "blue"])
    plain = [vsc_rl.without_subgoals(one.whole, actor.chat) for one in planned]
    for one, episode in zip(planned, plain, strict=True):
        ids = [i for turn in episode.turns for i in turn.action.prompt_ids]
        text = actor.chat.tokenizer.decode(ids)
        assert "Subgoal" not in text and "You act" not in text
        assert one.whole.instructions in text
        assert [t.action.token_ids for t in episode.turns] == [
            t.action.token_ids for t in one.actor.turns
        ]
    # what a flat policy with the same model would have been given
    flat = make_batch([replace(e, turns=_unsaid(e.turns)) for e in plain], actor.chat)
    assert torch.equal(make_batch(plain, actor.chat).ids, flat.ids)


def _unsaid(turns):
    """The turns with texts only where that loses nothing: ids of answers stay."""
    first, *rest = turns
    start_ = replace(first.action, fresh=True)
    return (replace(first, action=start_), *rest)


def test_where_no_subgoal_is_told_the_divergence_is_between_the_same_prompts():
    actor, _ = played(["red"], count=1)
    same = replace(levels(), actor_task="")
    policy = TwoLevels(AnyOf([""]), actor, same, keep=True)
    planned = policy.split(collect(KEY, policy, range(4)))
    tokens = make_batch([one.actor for one in planned], actor.chat)
    reference = Reference(actor.model, start())
    logprobs_ETL = vsc_rl.goal_conditioned(reference, planned, tokens, actor.chat, 10**6)
    grid = tokens.token_grid(logprobs_ETL)
    own = recompute_logprobs(actor.model, tokens, 10**6)
    mask = tokens.policy_mask
    assert torch.allclose(grid[mask], own[mask], atol=1e-5)
    _, told = played(["red", "blue"])
    tokens = make_batch([one.actor for one in told], actor.chat)
    apart = tokens.token_grid(vsc_rl.goal_conditioned(reference, told, tokens, actor.chat, 10**6))
    own = recompute_logprobs(actor.model, tokens, 10**6)
    mask = tokens.policy_mask
    assert float((apart[mask] - own[mask]).abs().max()) > 1e-2


def test_stopped_and_resumed_is_as_if_never_stopped(tmp_path: Path):
    def train(out: Path, resume: bool) -> Path:
        return vsc_rl.train(KEY, start(), out, SHORT, resume=resume)

    start()  # made before the decoders' runs are counted
    with interrupted_after(0) as counted:
        whole = train(tmp_path / "whole", False)
    part = tmp_path / "part"
    with pytest.raises(support.Interrupted), interrupted_after(counted.forwards // 2):
        train(part, False)
    assert 0 < len(metrics(part)) < len(metrics(whole)) == 3
    train(part, True)
    assert_same_run(part, whole)
    rows = metrics(whole)
    assert rows[0]["loss/reference_kl"] > 0  # the prompts differ though the weights do not yet
    assert all(row["loss/grad_norm"] > 0 for row in rows)


def test_the_divergence_holds_the_actor_back(tmp_path: Path):
    def kl(divergence: float) -> float:
        config = replace(
            SHORT, divergence=divergence, learning_rate=5e-3, target_kl=None, iterations=4
        )
        run = vsc_rl.train(KEY, start(), tmp_path / str(divergence), config)
        return metrics(run)[-1]["loss/reference_kl"]

    assert kl(5.0) < kl(1e-9)


@pytest.mark.parametrize(
    "fields",
    [
        {"hierarchy": levels()},
        {"hierarchy": levels(planner="frozen", actor="random")},
        {"temperature": 0.0},
        {"divergence": -1.0},
        {"objective": Objective(reference_kl=0.1)},
    ],
)
def test_what_cannot_be_trained_is_refused(fields):
    with pytest.raises(ValueError, match="expected"):
        replace(SHORT, **fields)
