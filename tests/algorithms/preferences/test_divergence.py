"""Divergences per turn: from whole distributions, written out, and of a model with adapters."""

import numpy as np
import torch
from transformers import PreTrainedModel

from agents.models import with_lora
from algorithms import tdpo
from algorithms.batch import make_batch
from algorithms.forward import policy_logprobs
from algorithms.preferences.divergence import distributions, logprobs_and_divergences
from algorithms.preferences.update import Layout
from algorithms.reference import Reference
from tests.support.training import beginner, played, start

CONFIG = tdpo.Config()


def shaken(model: PreTrainedModel, only: str = "") -> PreTrainedModel:
    """The model, moved."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if only in name:
                weight += 0.1 * torch.randn(weight.shape, generator=generator)
    return model


@torch.no_grad()
def test_divergences_are_those_of_the_written_out_distributions():
    model, chat = beginner()
    reference = Reference(model, start())
    shaken(model)
    batch = make_batch(played(), chat)
    layout = Layout(batch, len(played()))
    own, near, divergence = logprobs_and_divergences(model, reference, layout, CONFIG)(batch)
    assert reference.copy is not None
    for table, of in ((own, model), (near, reference.copy)):
        said = layout.sums(batch, policy_logprobs(of, batch)[0])
        torch.testing.assert_close(table, said, atol=1e-4, rtol=1e-4)
    logits = [m(input_ids=batch.ids).logits.log_softmax(-1) for m in (reference.copy, model)]
    kl = torch.zeros(batch.ids.shape)
    kl[:, 1:] = (logits[0].exp() * (logits[0] - logits[1])).sum(-1)[:, :-1]
    torch.testing.assert_close(divergence, layout.sums(batch, kl), atol=1e-4, rtol=1e-3)
    assert divergence.max() > 0.01 and bool((divergence > -1e-5).all())


@torch.no_grad()
def test_at_the_reference_nothing_diverges():
    model, chat = beginner()
    batch = make_batch(played(4), chat)
    layout = Layout(batch, 4)
    read = logprobs_and_divergences(model, Reference(model, start()), layout, CONFIG)
    own, near, divergence = read(batch)
    assert torch.equal(own, near) and not divergence.any()


@torch.no_grad()
def test_without_its_adapters_a_policy_is_its_own_reference():
    plain, chat = beginner()
    model = shaken(with_lora(beginner()[0], 2), "lora_B")
    reference = Reference(model, start())
    assert reference.copy is None
    batch = make_batch(played(4), chat)
    layout = Layout(batch, 4)
    own, near, divergence = logprobs_and_divergences(model, reference, layout, CONFIG)(batch)
    said = layout.sums(batch, policy_logprobs(plain, batch)[0])
    torch.testing.assert_close(near, said)
    assert divergence.max() > 0.001 and not torch.equal(own, near)


def test_the_policys_side_of_the_divergence_is_trained():
    model, chat = beginner()
    batch = make_batch(played(2), chat)
    layout = Layout(batch, 2)
    reference = Reference(shaken(model), start())
    *_, divergence = logprobs_and_divergences(model, reference, layout, CONFIG)(batch)
    divergence.sum().backward()
    assert reference.copy is not None and model.lm_head.weight.grad is not None
    assert all(weight.grad is None for weight in reference.copy.parameters())


@torch.no_grad()
def test_distributions_sum_to_1():
    model, chat = beginner()
    batch = make_batch(played(3), chat)
    chances = distributions(model, batch).exp().sum(-1)
    np.testing.assert_allclose(chances.numpy(), np.ones(batch.policy_tokens), rtol=1e-5)
