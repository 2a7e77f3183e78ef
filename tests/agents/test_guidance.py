"""Values beside a language model shift its logits, in one engine and in every folder."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from pytest import approx
from torch import Tensor
from transformers import PreTrainedModel

from agents import make_policy
from agents.graphs import Graphs
from agents.guidance import SETTINGS, WEIGHTS, Guide, guide_for, load_guide, save_guide
from agents.lm import LMPolicy
from agents.models import hidden_states
from agents.sampling import Sampling
from agents.serving import Answers, Question
from tests.agents.test_graphs import stepwise
from tests.support.language import Talk, chat, model, policy, spans, talk, with_random_heads

NAMES = ("a", "bee", "cedar", "d4")


def guide_of(language_model: PreTrainedModel, strength: float = 2.0) -> Guide:
    """Heads that say something, in a unit of their own."""
    made = guide_for(language_model, strength)
    with_random_heads(made)
    made.offset.fill_(-30.0)
    made.scale.fill_(1.5)
    return made


def guided(strength: float = 2.0, temperature: float = 1.0) -> LMPolicy:
    language_model = model()
    sampling = Sampling(max_new_tokens=6, temperature=temperature)
    return LMPolicy(language_model, chat(), sampling, guide=guide_of(language_model, strength))


@torch.no_grad()
def by_hand(language_model: PreTrainedModel, guide: Guide, ids: list[int]) -> tuple[Tensor, Tensor]:
    """beta's logits and min_k Q_k - V behind every token, each from its definition."""
    logits = language_model(input_ids=torch.tensor([ids])).logits[0]
    hidden = hidden_states(language_model, torch.tensor([ids]))[0]
    return logits, torch.minimum(*guide.action_values(hidden)) - guide.values(hidden)[:, None]


def said(one: Talk) -> list[tuple[int, ...]]:
    return [action.token_ids for action in one.actions]


def test_probabilities_are_the_softmax_of_the_shifted_logits():
    speaker = guided(strength=2.0)
    guide = guide_of(speaker.model)
    for one in talk(speaker, NAMES, turns=3):
        logits, advantages = by_hand(speaker.model, guide, one.ids)
        expected = torch.log_softmax(logits + 2.0 * advantages, -1)
        for start, end, action in spans(one):
            chosen = expected[range(start - 1, end - 1), list(action.token_ids)]
            assert action.logprobs == approx(chosen.tolist(), abs=2e-4)


def test_great_strength_picks_the_token_with_the_best_smaller_q():
    speaker = guided(strength=1e4, temperature=0.0)
    guide = guide_of(speaker.model)
    differs = 0
    for one in talk(speaker, NAMES, turns=2):
        logits, advantages = by_hand(speaker.model, guide, one.ids)
        for start, end, action in spans(one):
            assert advantages[start - 1 : end - 1].argmax(-1).tolist() == list(action.token_ids)
            differs += int((logits.argmax(-1) != advantages.argmax(-1))[start - 1 : end - 1].sum())
    assert differs > 0  # or the model alone would have passed


def test_width_and_order_change_nothing():
    together = talk(guided(), NAMES, turns=3)
    backwards = talk(guided(), NAMES[::-1], turns=3)[::-1]
    alone = [talk(guided(), [name], turns=3)[0] for name in NAMES]
    for one, two, three in zip(together, backwards, alone, strict=True):
        assert said(one) == said(two) == said(three)


def test_the_values_speak_when_a_graph_decodes():
    ordinary, speaker = guided(), guided()
    speaker._graphs = Graphs(speaker.model, speaker._cache, stepwise, guide_of(speaker.model))
    talks, others = (talk(one, NAMES, turns=4) for one in (speaker, ordinary))
    assert speaker._graphs.served > 10
    assert [said(one) for one in talks] == [said(one) for one in others]


def test_values_are_in_the_environments_unit():
    guide = guide_for(model())
    with_random_heads(guide)
    hidden = torch.randn(5, guide.width, generator=torch.Generator().manual_seed(0))
    v, q, shift = guide.values(hidden), guide.action_values(hidden), guide.shift(hidden)
    guide.offset.fill_(-50.0)
    guide.scale.fill_(10.0)
    assert guide.values(hidden).tolist() == approx((10 * v - 50).tolist(), rel=1e-5)
    assert torch.allclose(guide.action_values(hidden), 10 * q - 50, atol=1e-4)
    assert torch.allclose(guide.shift(hidden), 10 * shift, atol=1e-4)
    one, other = guide.action_values(hidden)
    assert not torch.allclose(one, other)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose checkpoint has values beside its model."""
    run = tmp_path_factory.mktemp("run")
    language_model = model()
    (run / "checkpoints").mkdir()
    chat().save(language_model, run / "checkpoints")
    save_guide(guide_of(language_model), run / "checkpoints")
    return run


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to / "checkpoints"


def test_a_folder_with_values_is_guided_and_with_strength_0_is_not(folder: Path):
    found = make_policy(f"hf:{folder}?max_new_tokens=6")
    assert isinstance(found, LMPolicy)
    wanted = talk(guided(), NAMES, turns=2)
    assert [said(one) for one in talk(found, NAMES, turns=2)] == [said(one) for one in wanted]
    alone = make_policy(f"hf:{folder}?max_new_tokens=6&strength=0")
    plain = LMPolicy(model(), chat(), Sampling(max_new_tokens=6))
    assert isinstance(alone, LMPolicy)
    assert [said(one) for one in talk(alone, NAMES, 2)] == [said(t) for t in talk(plain, NAMES, 2)]
    assert [said(one) for one in wanted] != [said(one) for one in talk(plain, NAMES, 2)]


def test_a_strength_goes_over_the_one_that_was_saved(folder: Path):
    loaded = [load_guide(folder, model(), strength) for strength in (None, 0.5)]
    assert [guide.strength for guide in loaded if guide is not None] == [2.0, 0.5]


def spoilt(folder: Path, kind: str) -> str:
    """Break the files in some way; the name of the one that is to be blamed."""
    settings, weights = folder / SETTINGS, folder / WEIGHTS
    if kind == "no settings":
        settings.unlink()
    elif kind == "no weights":
        weights.unlink()
        return WEIGHTS
    elif kind == "torn weights":
        weights.write_bytes(weights.read_bytes()[:100])
        return WEIGHTS
    elif kind == "torn settings":
        settings.write_text("{")
    else:
        held = json.loads(settings.read_text())
        settings.write_text(json.dumps({**held, "width": 7} if kind == "width" else {"width": 7}))
    return SETTINGS


@pytest.mark.parametrize(
    "kind", ["no settings", "no weights", "torn weights", "torn settings", "width", "a part"]
)
def test_spoilt_values_are_told_in_one_line_and_the_model_alone_still_plays(
    folder: Path, tmp_path: Path, kind: str
):
    broken = copied(folder, tmp_path / "copy")
    blamed = spoilt(broken, kind)
    with pytest.raises(ValueError, match=blamed) as caught:
        make_policy(f"hf:{broken}")
    assert "\n" not in str(caught.value) and "expected" in str(caught.value)
    assert make_policy(f"hf:{broken}?strength=0").version == 0


def test_a_strength_without_values_is_refused(folder: Path, tmp_path: Path):
    plain = copied(folder, tmp_path / "copy")
    (plain / SETTINGS).unlink()
    (plain / WEIGHTS).unlink()
    with pytest.raises(ValueError, match="strength=3 weighs value heads, expected guide"):
        make_policy(f"hf:{plain}?strength=3")
    assert make_policy(f"hf:{plain}").version == 0


def test_an_engine_that_would_leave_the_values_out_refuses_them(folder: Path):
    with pytest.raises(ValueError, match=r"decodes alone, got one with value heads.* use hf:"):
        make_policy(f"continuous:{folder}")


def test_a_served_policy_is_guided_under_every_setting():
    told = tuple(Talk("a").messages)
    answers = Answers({"values": guided(strength=1e4), "model": policy()})
    try:
        asked = [
            answers.ask(Question(name, told, 0, sampling={"temperature": 0.0, "max_new_tokens": 4}))
            for name in ("values", "model")
        ]
    finally:
        answers.close()
    alone = guided(strength=1e4, temperature=0.0)
    wanted = alone.under(Sampling(temperature=0.0, max_new_tokens=4))
    (expected,) = wanted.act([Talk("a").conversation()])
    assert asked[0].token_ids == expected.token_ids != asked[1].token_ids
