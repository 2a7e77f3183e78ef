from collections.abc import Iterator

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from agents.models import with_lora
from algorithms import behaviour_cloning
from algorithms.batch import make_batch
from algorithms.parallel import SideBySide
from tests.support.training import beginner, cloning, flat, played


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def gradient(threads: int, *, lora: bool = False, steps: int = 1) -> torch.Tensor:
    model, chat = beginner()
    if lora:
        torch.manual_seed(0)  # adapters begin at random
        model = with_lora(model, 2)
    batch = make_batch(played(12), chat)
    config = cloning(observation_weight=0.1)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    descent = torch.optim.SGD(trained, lr=0.1)
    if threads == 1:
        for _ in range(steps):
            behaviour_cloning.update(model, descent, batch, config)
        return flat(model)
    with SideBySide(model) as workers:
        assert workers.threads == threads
        for _ in range(steps):
            behaviour_cloning.update(model, descent, batch, config, workers)
    assert torch.get_num_threads() == threads
    return flat(model)


@pytest.mark.parametrize("lora", [False, True])
def test_two_threads_take_the_steps_of_one(two_threads: None, lora: bool):
    torch.testing.assert_close(
        gradient(2, lora=lora, steps=3), gradient(1, lora=lora, steps=3), atol=1e-5, rtol=0
    )


def test_two_threads_give_the_same_bits_every_time(two_threads: None):
    first = gradient(2, steps=5)
    assert all(torch.equal(gradient(2, steps=5), first) for _ in range(3))


def test_the_threads_models_are_one_set_of_weights(two_threads: None):
    model, _ = beginner()
    with SideBySide(model) as workers:
        mine, other = workers._models
        assert mine is model and other is not model
        assert other.config is not model.config
        for one, same in zip(model.parameters(), other.parameters(), strict=True):
            assert one is same


def test_a_mistake_in_a_thread_is_raised_and_the_threads_are_given_back(two_threads: None):
    model, chat = beginner()
    batch = make_batch(played(12), chat)

    def wrong(model: PreTrainedModel, part: object) -> tuple[torch.Tensor, dict[str, float]]:
        raise ValueError("the loss of this test")

    with SideBySide(model) as workers, pytest.raises(ValueError, match="the loss of this test"):
        workers.backward(batch, wrong)
    assert torch.get_num_threads() == 2


def test_with_one_thread_nothing_is_copied():
    assert torch.get_num_threads() == 1
    model, _ = beginner()
    with SideBySide(model) as workers:
        assert workers._models == [model] and workers.threads == 1
    assert np.isfinite(float(flat(model).sum()))
