"""What stands beside a model says how its folder plays."""

from pathlib import Path

import pytest

from agents import make_policy
from agents.chat import Chat
from agents.conditioned import Conditioned, Conditioning
from agents.folders import BESIDE
from agents.guidance import guide_for, save_guide
from agents.lm import LMPolicy
from tests.support.language import model, tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Chat(tokenizer()).save(model(), tmp_path)
    return tmp_path


def test_a_plain_folder_plays_as_it_samples_and_asks_for_nothing(folder: Path):
    assert isinstance(make_policy(f"hf:{folder}"), LMPolicy)
    with pytest.raises(ValueError, match="has no conditioning.json; train it with"):
        make_policy(f"hf:{folder}?return=-3")
    with pytest.raises(ValueError, match="strength"):
        make_policy(f"hf:{folder}?strength=2")


def test_conditioning_beside_it_is_told_unless_another_return_is_asked_for(folder: Path):
    Conditioning("return", "turn", target=-6.0).save(folder)
    told, asked = make_policy(f"hf:{folder}"), make_policy(f"hf:{folder}?return=-3")
    assert isinstance(told, Conditioned) and told.conditioning.target == -6.0
    assert isinstance(asked, Conditioned) and asked.conditioning.target == -3.0


def test_values_beside_it_steer_it_with_the_strength_that_is_asked_for(folder: Path):
    save_guide(guide_for(model(), 2.0), folder)
    for spec, strength in ((f"hf:{folder}", 2.0), (f"hf:{folder}?strength=0.5", 0.5)):
        player = make_policy(spec)
        assert isinstance(player, LMPolicy) and player._guide is not None
        assert player._guide.strength == strength


@pytest.mark.parametrize("file", BESIDE)
def test_continuous_batching_leaves_nothing_out_in_silence(folder: Path, file: str):
    (folder / file).write_text("{}")
    with pytest.raises(ValueError, match=f"decodes alone, got one with {BESIDE[file]}, .* use hf:"):
        make_policy(f"continuous:{folder}")
