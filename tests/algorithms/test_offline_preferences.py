"""TDPO, KTO, CoPG and CPL on a file of Microwave: each prefers what succeeded in it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from algorithms import copg, cpl, kto, tdpo
from algorithms.datasets.file import EpisodeFile
from algorithms.losses.preference import dpo
from algorithms.preferences.pairs import Pair
from algorithms.preferences.update import Compared
from tests.support.preferring import beginners_play, preference_gained
from tests.support.training import MICROWAVE, metrics, start

SHORT: dict[str, Any] = {
    **{"iterations": 2, "steps": 8, "learning_rate": 3e-3, "max_new_tokens": 8},
    **{"evaluations": 4},
}
CONFIGS = {
    "tdpo": tdpo.Config(**SHORT),
    "kto": kto.Config(**SHORT),
    "copg": copg.Config(**SHORT),
    "cpl": cpl.Config(**SHORT),
}
MODULES = {"tdpo": tdpo, "kto": kto, "copg": copg, "cpl": cpl}


def trained(name: str, out: Path, **fields: Any) -> Path:
    train: Callable[..., Path] = MODULES[name].train
    config = replace(CONFIGS[name], **fields)
    return train(MICROWAVE, start(), out, config, data=beginners_play())


@pytest.mark.parametrize("name", CONFIGS)
def test_success_is_preferred_to_failure_after_a_few_steps(name: str, tmp_path: Path):
    assert preference_gained(trained(name, tmp_path / "run")) > 0.1


@pytest.mark.parametrize("name", CONFIGS)
def test_in_parts_the_first_step_is_the_same(name: str, tmp_path: Path):
    one = {"iterations": 1, "steps": 1, "batch_size": 8, "evaluations": 0}
    rows = [
        metrics(trained(name, tmp_path / str(tokens), micro_tokens=tokens, **one))[0]
        for tokens in (64, 10**6)
    ]
    assert rows[0]["loss/grad_norm"] > 0
    assert rows[0].keys() == rows[1].keys()
    for key, value in rows[0].items():
        if key == "loss/accuracy":  # at the reference rounding decides which side is greater
            continue
        assert value == pytest.approx(rows[1][key], rel=1e-3, abs=1e-4), key


def test_tdpos_loss_without_weight_on_divergences_is_dpo():
    table = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0))
    compared = Compared([Pair(0, 1, 1.0), Pair(3, 2, 1.0, first=1)], table[0])
    out = tdpo.loss_of(compared, tdpo.Config(kl_weight=0.0))(table)
    of = *compared.sums(table[0]), *compared.sums(table[1]), 0.1
    wanted = dpo(*of, sft_weight=0.3)
    assert float(out.loss) == pytest.approx(float(wanted.loss))


def test_kto_calls_desirable_what_is_above_the_mean_or_the_threshold():
    returns_E = np.array([0.0, 1.0, 3.0, 4.0])
    assert kto.threshold_of(returns_E, kto.Config()) == 2.0
    assert kto.threshold_of(returns_E, kto.Config(threshold=0.5)) == 0.5
    with pytest.raises(ValueError, match="threshold 4: expected returns on both sides"):
        kto.threshold_of(returns_E, kto.Config(threshold=4.0))


def test_kto_pushes_both_kinds_apart():
    policy = torch.zeros(2, 3, requires_grad=True)
    loss = kto.loss_of(torch.tensor([True, False]), torch.zeros(2, 3), kto.Config(beta=0.4))
    (push,) = torch.autograd.grad(loss(policy).loss, policy)
    torch.testing.assert_close(push, torch.tensor([[-0.05] * 3, [0.05] * 3]))


def test_cpl_discounts_turns_from_the_start_of_the_episode(tmp_path: Path):
    first = {"iterations": 1, "steps": 1, "evaluations": 0, "bias": 1.0}
    (flat,) = metrics(trained("cpl", tmp_path / "flat", **first))
    (steep,) = metrics(trained("cpl", tmp_path / "steep", discount=0.0, **first))
    assert flat["loss/margin"] != steep["loss/margin"]
    assert flat["loss/log_prob_chosen"] == steep["loss/log_prob_chosen"]


def test_copg_draws_plays_of_equal_returns_too():
    file = EpisodeFile(beginners_play(), MICROWAVE)
    sample = partial(np.random.default_rng, 0)
    gaps = {p.margin for p in copg.pairs_of_file(file, None, False).draw(sample(), 200)}
    assert gaps == {0.0, 2.0}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (partial(tdpo.Config, beta=0.0), "beta"),
        (partial(tdpo.Config, label_noise=0.5), "label_noise"),
        (partial(tdpo.Config, sft_weight=-1.0), "sft_weight"),
        (partial(kto.Config, beta=0.0), "beta"),
        (partial(copg.Config, beta=-1.0), "beta"),
        (partial(cpl.Config, bias=0.0), "bias"),
    ],
)
def test_settings_that_cannot_be_are_refused(make: Any, said: str):
    with pytest.raises(ValueError, match=said):
        make()
