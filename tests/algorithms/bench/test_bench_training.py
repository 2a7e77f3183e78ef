import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from algorithms.bench import training
from algorithms.bench.training import bare, ours, row_per_episode, row_per_turn, scene

SMALL: dict[str, Any] = {"hidden": 32, "layers": 2, "heads": 2, "key_heads": 1, "inner": 48}


def gradient(model: torch.nn.Module, way: Callable[[], None]) -> torch.Tensor:
    model.zero_grad()
    way()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("micro_tokens", [1, 500, 10**6])
def test_the_three_ways_that_are_timed_have_one_gradient(micro_tokens: int):
    model, batch = scene(4, 3, 0, torch.device("cpu"), **SMALL)
    total = batch.policy_tokens
    whole, cut = (make(batch, micro_tokens) for make in (row_per_episode, row_per_turn))
    expected = gradient(model, lambda: bare(model, whole, total))
    assert float(expected.abs().max()) > 1e-3
    for way in (lambda: bare(model, cut, total), lambda: ours(model, batch, micro_tokens)):
        torch.testing.assert_close(gradient(model, way), expected, atol=1e-5, rtol=1e-3)


def test_a_row_per_turn_reads_the_history_again_at_every_turn():
    _, batch = scene(5, 2, 0, torch.device("cpu"), **SMALL)
    parts = row_per_turn(batch, 10**6)
    assert sum(len(part.ids) for part in parts) == 10
    assert sum(len(part.said) for part in parts) == batch.policy_tokens
    read = sum(int((part.ids != 0).sum()) for part in parts)
    assert read == int((batch.after_turn + 1)[batch.turn_mask].sum()) > 2.5 * batch.lengths.sum()


def test_training_is_measured_and_many_times_as_fast_as_one_row_a_turn():
    measured = training.training(12, episodes=4, repeats=2, seconds=0.0, **SMALL)
    assert json.loads(json.dumps(measured)) == measured
    # 6.5 times the tokens; a busy machine and a tiny model get slack
    assert measured["times_row_per_turn"] > 2
    assert measured["of_bare"] > 0.4
    assert measured["tokens"] > 4 * 12 * 40
