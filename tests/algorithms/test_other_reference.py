import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.models import load_model, with_lora
from algorithms import rloo
from algorithms.batch import make_batch
from algorithms.forward import recompute_logprobs
from algorithms.reference import Reference, open_reference
from algorithms.trainer.experience import read_episodes
from algorithms.trainer.learner import Learner
from algorithms.trainer.objective import Objective
from algorithms.trainer.update import update
from lmenvs.types import Action, Episode, Message, Turn
from tests.support.language import chat, model
from tests.support.learners import CONFIG, under
from tests.support.training import MICROWAVE, beginner, flat, metrics, played, start


def another(out: Path, factor: float = 1.3) -> Path:
    """A folder with a model of the same tokens that finds other things likely."""
    other, style = beginner()
    with torch.no_grad():
        for weight in other.parameters():
            weight.mul_(factor)
    style.save(other, out)
    return out


def first_step(reference: Reference) -> dict[str, float]:
    config = under(CONFIG, reference_kl=0.5)
    learner = Learner(*beginner(), config)
    seen = read_episodes(learner, played(), config, reference)
    nothing = seen.spread([np.zeros(len(e.turns)) for e in played()])
    return update(learner, seen, nothing, config, np.random.default_rng(0))


def test_of_the_same_model_in_another_folder_the_kl_is_exactly_0(tmp_path: Path):
    shutil.copytree(start(), tmp_path / "copy")
    policy, style = beginner()
    same = first_step(open_reference(policy, style, start(), str(tmp_path / "copy")))
    assert same["loss/reference_kl"] == 0 and same["loss/grad_norm"] == 0
    other = first_step(open_reference(policy, style, start(), str(another(tmp_path / "other"))))
    assert other["loss/reference_kl"] > 0.01 and other["loss/grad_norm"] > 0


def test_the_kl_to_another_model_is_that_of_all_first_tokens(tmp_path: Path):
    """One episode for each token that the policy may say first: their weighted mean is the KL."""
    policy, style = beginner()
    folder = another(tmp_path / "other")
    reference = open_reference(policy, style, start(), str(folder))
    one = played(1)[0]
    messages = [Message("system", one.instructions), Message("user", one.turns[0].observation)]
    prompt = style.start(messages)
    count = policy.config.vocab_size
    episodes = [
        Episode(str(token), "e", 0, "all", "i", (said(prompt, token),), "", True, False, False)
        for token in range(count)
    ]
    batch = make_batch(episodes, style)
    mine = recompute_logprobs(policy, batch, 10**6)[batch.policy_mask].double()
    theirs = reference.logprobs(batch, 10**6)[batch.policy_mask].double()
    estimated = float((mine.exp() * (mine - theirs)).sum())
    with torch.no_grad():
        p, q = (
            each(torch.tensor([prompt])).logits[0, -1].double().log_softmax(-1)
            for each in (policy, load_model(folder)[0])
        )
    assert float(mine.exp().sum()) == pytest.approx(1, abs=1e-5)
    exact = float((p.exp() * (p - q)).sum())
    assert exact > 0.01 and estimated == pytest.approx(exact, rel=1e-4)


def said(prompt: list[int], token: int) -> Turn:
    return Turn("", Action("", tuple(prompt), (token,), fresh=True), 0.0)


def test_a_policy_with_adapters_is_held_close_to_the_named_model_and_not_to_its_base(
    tmp_path: Path,
):
    base, style = beginner()
    policy: Any = with_lora(base, 2)
    folder = another(tmp_path / "other")
    batch = make_batch(played(4), style)
    named = open_reference(policy, style, start(), str(folder)).logprobs(batch, 500)
    assert torch.equal(named, recompute_logprobs(load_model(folder)[0], batch, 500))
    own = open_reference(policy, style, start()).logprobs(batch, 500)
    assert torch.equal(own, recompute_logprobs(beginner()[0], batch, 500))


def test_a_model_of_other_tokens_is_refused(tmp_path: Path):
    chat().save(model(), tmp_path / "other")
    policy, style = beginner()
    with pytest.raises(ValueError, match=r"reference '.*other': .* another vocabulary; clone"):
        open_reference(policy, style, start(), str(tmp_path / "other"))


def test_a_reference_that_pulls_nothing_is_refused():
    with pytest.raises(ValueError, match="reference 'runs/bc' with reference_kl 0"):
        Objective(reference="runs/bc")


def test_a_trainer_takes_the_reference_that_its_objective_names(tmp_path: Path):
    fields: dict[str, Any] = {"iterations": 1, "groups": 2, "group_size": 2, "minibatches": 1}
    fields |= {"max_new_tokens": 8}
    folder = another(tmp_path / "other")
    kl = {}
    for name in ("", str(folder)):
        config = rloo.Config(**fields, objective=Objective(reference_kl=0.1, reference=name))
        run = rloo.train(MICROWAVE, start(), tmp_path / f"run{bool(name)}", config)
        (row,) = metrics(run)
        kl[name] = row["loss/reference_kl"]
    assert kl[""] == pytest.approx(0, abs=1e-9) and kl[str(folder)] > 0.01


def test_the_reference_stays_where_it_was(tmp_path: Path):
    policy, style = beginner()
    reference = open_reference(policy, style, start(), str(another(tmp_path / "other")))
    assert reference.copy is not None and reference.copy is not policy
    assert not any(weight.requires_grad for weight in reference.copy.parameters())
    before = flat(reference.copy)
    first_step(reference)
    assert torch.equal(flat(reference.copy), before)
