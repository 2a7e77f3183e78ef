from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import varlen
from transformers import PreTrainedModel

from agents import tree_attention
from agents.layout import lay_out, shared_beginnings
from agents.models import decoder, head_logits, with_lora
from agents.reading import SAVES, Reading, can_share, read
from tests.support.language import FAMILIES, model, tokenizer

# a group of three from one start, two others with the same system prompt, one that stands alone,
# and the very same episode twice
SYSTEM, GROUP, OTHER = list(range(20, 36)), [70, 71, 72, 73, 74, 75], [80, 81]
ROWS = [
    [*SYSTEM, *GROUP, 90, 91, 92],
    [*SYSTEM, *OTHER, 93, 94, 95, 96, 97, 98],
    [*SYSTEM, *GROUP, 90, 99],
    [200, 201, 202, 203, 204],
    [*SYSTEM, *GROUP, 100, 101, 102, 103, 104, 105, 106],
    [*SYSTEM, *OTHER, 93, 94, 95, 96, 97, 98],
    SYSTEM,
]


def padded(rows: list[list[int]] = ROWS, *, pad: int = 0) -> tuple[Tensor, Tensor]:
    longest = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
    return ids, torch.tensor([len(row) for row in rows])


def exact(family: str, *, lora: bool = False) -> PreTrainedModel:
    """A model in float64 throughout: Transformers' norms would go through float32."""
    made = model(family)
    if lora:
        made = with_lora(made, 4)
        with torch.no_grad():  # adapters begin at 0
            for name, weight in made.named_parameters():
                if "lora_B" in name:
                    weight.copy_(torch.randn(weight.shape, generator=generator(1)) / 3)
    made = made.double()
    for module in made.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = norm_in_float64(module)  # type: ignore[method-assign]
    return made.eval()


def norm_in_float64(module: nn.Module) -> Callable[[Tensor], Tensor]:
    given: Any = module
    gemma = "Gemma" in type(module).__name__
    epsilon = given.eps if gemma else given.variance_epsilon

    def forward(hidden: Tensor) -> Tensor:
        scaled = hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + epsilon)
        return scaled * (given.weight + (1 if gemma else 0))

    return forward


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plain(language_model: PreTrainedModel, ids: Tensor, lengths: Tensor, weights: Tensor) -> Tensor:
    """The weighted log-likelihood of every token but the first: padded, masked, nothing shared."""
    mask = torch.arange(ids.shape[1]) < lengths[:, None]
    logits = language_model(input_ids=ids, attention_mask=mask.long(), use_cache=False).logits
    chosen = torch.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None])[..., 0]
    return (torch.where(mask[:, 1:], chosen, 0.0) * weights[:, 1:]).sum()


def ours(
    language_model: PreTrainedModel, ids: Tensor, lengths: Tensor, weights: Tensor, **how: Any
) -> Tensor:
    hidden = read(decoder(language_model), ids, lengths, **how).rows()
    chosen = torch.log_softmax(head_logits(language_model, hidden[:, :-1]), -1)
    chosen = chosen.gather(-1, ids[:, 1:, None])[..., 0]
    mask = torch.arange(1, ids.shape[1]) < lengths[:, None]
    return (torch.where(mask, chosen, 0.0) * weights[:, 1:]).sum()


def slopes(language_model: PreTrainedModel, loss: Tensor) -> Tensor:
    trained = [weight for weight in language_model.parameters() if weight.requires_grad]
    return torch.cat([slope.flatten() for slope in torch.autograd.grad(loss, trained)])


def kernel_for_lengths(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> Tensor:
    """What torch documents of `varlen_attn`, row by row; the kernel itself needs a GPU."""
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32 and window_size[1] == 0
    assert enable_gqa == (query.shape[1] != key.shape[1])
    found: list[Tensor] = []
    for begin, end in pairwise(cu_seq_q.tolist()):
        assert end - begin <= max_q == max_k
        back = torch.arange(end - begin)[:, None] - torch.arange(end - begin)
        seen = (back >= 0) & ((window_size[0] < 0) | (back <= window_size[0]))
        q, k, v = (part[begin:end].transpose(0, 1) for part in (query, key, value))
        k, v = (part.repeat_interleave(len(q) // len(k), 0) for part in (k, v))
        scores = (scale * q @ k.transpose(1, 2)).masked_fill(~seen, -torch.inf)
        found.append((scores.softmax(-1) @ v).transpose(0, 1))
    return torch.cat(found)


@pytest.fixture
def _ends_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: rows lie end to end for a kernel that knows where they begin."""
    monkeypatch.setattr(tree_attention, "takes_ragged", lambda query: True)
    monkeypatch.setattr(varlen, "varlen_attn", kernel_for_lengths)


@pytest.mark.usefixtures("_ends_meet")
@pytest.mark.parametrize("family", FAMILIES)
def test_rows_end_to_end_have_the_loss_and_gradient_of_the_plain_masked_forward(family: str):
    check(family, way="shared")


@pytest.mark.parametrize("how", ["shared", "padded", "shared, computed again"])
@pytest.mark.parametrize("family", [*FAMILIES, "llama with LoRA"])
def test_loss_and_gradient_are_those_of_the_plain_masked_forward(family: str, how: str):
    way, _, again = how.partition(", ")
    check(family, way=way, checkpointing=bool(again))


def check(family: str, **how: Any) -> None:
    language_model = exact(family.split()[0], lora="LoRA" in family)
    ids, lengths = padded()
    weights = torch.randn(ids.shape, generator=generator(0), dtype=torch.float64)
    expected = plain(language_model, ids, lengths, weights)
    got = ours(language_model, ids, lengths, weights, **how)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-10)
    found, reference = slopes(language_model, got), slopes(language_model, expected)
    assert float(reference.abs().max()) > 1
    torch.testing.assert_close(found, reference, rtol=0, atol=1e-10 * float(reference.abs().max()))


def test_every_shared_token_has_one_place():
    ids, lengths = padded(pad=20)  # padding that looks like a token
    layout = lay_out(ids, lengths)
    told = [tuple(row[: n + 1]) for row in ROWS for n in range(len(row))]
    assert len(layout) == len(set(told)) < len(told)
    place: dict[tuple[int, ...], int] = {}
    for row, tokens in enumerate(ROWS):
        for column in range(len(tokens)):
            where = int(layout.place[row, column])
            assert place.setdefault(tuple(tokens[: column + 1]), where) == where
            assert int(layout.positions[where]) == column
            assert int(ids.flatten()[layout.first[where]]) == tokens[column]
    assert len(layout.repeated) == len(told) - len(layout)
    assert torch.equal(layout.place.flatten()[layout.repeated], layout.at)
    assert ids.flatten()[layout.first][layout.rows].tolist() == [t for row in ROWS for t in row]
    assert layout.cuts.tolist() == [0, *np.cumsum([len(row) for row in ROWS])]
    assert torch.equal(layout.rows[layout.own], torch.arange(len(layout)))


def test_random_trees_are_laid_out_as_sets_of_prefixes():
    draws = np.random.default_rng(0)
    for _ in range(50):
        rows = [
            draws.integers(3, size=draws.integers(1, 9)).tolist() for _ in range(draws.integers(9))
        ] or [[1]]
        ids, lengths = padded(rows)
        prefixes = {tuple(row[: n + 1]) for row in rows for n in range(len(row))}
        assert len(lay_out(ids, lengths)) == len(prefixes)
        order, shared = shared_beginnings(ids, lengths)
        assert sorted(order) == list(range(len(rows)))
        for first, second, same in zip(order, order[1:], shared, strict=False):
            a, b = rows[first], rows[second]
            assert (a[:same] == b[:same] and a[same : same + 1] != b[same : same + 1]) or a == b


def passes(language_model: PreTrainedModel, ids: Tensor, lengths: Tensor) -> int:
    """How many tokens the first block computes when it is left to decide."""
    stack: Any = decoder(language_model)
    seen: list[int] = []
    hook = stack.layers[0].register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[0].shape[:2].numel())
    )
    read(stack, ids, lengths)
    hook.remove()
    return seen[0]


def test_beginnings_are_shared_only_where_that_saves():
    language_model = model()
    ids, lengths = padded()
    assert passes(language_model, ids, lengths) == len(lay_out(ids, lengths)) < SAVES * ids.numel()
    alike, full = padded([[n, *range(20, 50)] for n in range(4)])  # nothing shared, no padding
    assert passes(language_model, alike, full) == alike.numel()
    assert passes(language_model, ids[:1], lengths[:1]) == ids.shape[1]  # one row shares nothing


def test_a_model_with_attention_of_its_own_is_read_as_it_is():
    language_model = model()
    language_model.set_attn_implementation("eager")
    ids, lengths = padded()
    assert not can_share(decoder(language_model))
    assert passes(language_model, ids, lengths) == ids.numel()
    with pytest.raises(ValueError, match="brings its own attention .* read it with way="):
        read(decoder(language_model), ids, lengths, way="shared")


def test_the_model_attends_as_before_when_a_reading_is_over():
    language_model = model()
    ids, lengths = padded()
    before = language_model(ids).logits
    read(decoder(language_model), ids, lengths, way="shared", checkpointing=True)
    assert decoder(language_model).config._attn_implementation == "sdpa"
    assert not any(module.training for module in language_model.modules())
    assert torch.equal(language_model(ids).logits, before)
    with pytest.raises(IndexError):
        read(decoder(language_model), ids + len(tokenizer()), lengths, way="shared")
    assert torch.equal(language_model(ids).logits, before)


def test_checkpointing_remembers_less():
    """Counted as bytes that the backward pass keeps."""
    language_model = model()
    ids, lengths = padded()
    kept: dict[bool, int] = {}
    for checkpointing in (False, True):
        saved: dict[int, int] = {}

        def keep(tensor: Tensor, saved: dict[int, int] = saved) -> Tensor:
            saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        weights = {weight.untyped_storage().data_ptr() for weight in language_model.parameters()}
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            reading: Reading = read(
                decoder(language_model), ids, lengths, way="shared", checkpointing=checkpointing
            )
        assert reading.flat.requires_grad
        kept[checkpointing] = sum(size for place, size in saved.items() if place not in weights)
    assert kept[True] < kept[False] / 3
