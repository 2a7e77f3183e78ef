"""A learner whose episodes another process samples: it gets the weights, ids come back."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch
from pytest import approx
from transformers import PreTrainedModel

from agents.lm import LMPolicy
from agents.making import open_engine
from agents.models import with_lora
from agents.protocols import Policy
from agents.sampling import Sampling
from agents.serve import PolicyServer
from tests.support.games import Scripted
from tests.support.language import Talk, chat, full_logprobs, model, policy, spans
from tests.support.openai_server import serving

SAMPLING = Sampling(max_new_tokens=6)
NAMES = ("a", "bee", "cedar")


@contextlib.contextmanager
def engine(weights: Path, base: Path | None = None) -> Iterator[str]:
    """The spec of a served model whose weights nobody wants."""
    stale = policy(model(seed=7))
    server = PolicyServer(stale, "tiny", weights=weights, base=str(base) if base else None)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"openai:tiny@{server.url}?weights={weights}&sleep=true"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def talks_with(speaker: Policy) -> list[Talk]:
    talks = [Talk(name) for name in NAMES]
    for _ in range(3):
        actions = speaker.act([talk.conversation() for talk in talks])
        for talk, action in zip(talks, actions, strict=True):
            talk.said(action)
    return talks


def refuse(spec: str, learner: PreTrainedModel, message: str) -> None:
    """Opening this engine stops with one line, which shows no login."""
    opened = open_engine(spec, learner, chat(), SAMPLING)
    with pytest.raises(ValueError, match=message) as caught:
        opened.__enter__()
    assert "\n" not in str(caught.value) and "me:word" not in str(caught.value)


@pytest.mark.parametrize("kind", ["", "continuous?seed=3", "openai"])
def test_an_engine_samples_with_the_weights_that_the_learner_has_now(
    kind: str, tmp_path: Path
) -> None:
    learner = model()
    with engine(tmp_path) as remote:
        for version in range(2):
            with open_engine(
                remote if kind == "openai" else kind, learner, chat(), SAMPLING, version
            ) as speaker:
                assert speaker.version == version
                talks = talks_with(speaker)
            for talk in talks:
                expected = full_logprobs(learner, talk.ids)
                for start, end, action in spans(talk):
                    assert list(action.logprobs) == approx(expected[start - 1 : end - 1], abs=2e-4)
            with torch.no_grad():  # the learner learns
                for weight in learner.parameters():
                    weight.mul_(1.1)
    assert list(tmp_path.iterdir()) == []  # what was written is removed again


def test_an_adapter_is_served_beside_its_base_under_a_name_of_its_own(tmp_path: Path) -> None:
    base = tmp_path / "base"
    chat().save(model(), base)
    learner = with_lora(model(), 2)
    learner.peft_config["default"].base_model_name_or_path = str(base)  # type: ignore[index]
    with torch.no_grad():
        for name, weight in learner.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(0))
    shared = tmp_path / "shared"
    shared.mkdir()
    with engine(shared, base) as spec:
        url = spec.partition("@")[2].partition("?")[0]
        with open_engine(spec, learner, chat(), SAMPLING, 4) as speaker:
            names = [one["id"] for one in httpx.get(f"{url}/models").json()["data"]]
            assert names == ["tiny", "tiny-4"]
            talks = talks_with(speaker)
        assert len(httpx.get(f"{url}/models").json()["data"]) == 1
    for talk in talks:
        expected = full_logprobs(learner, talk.ids)
        plain = full_logprobs(model(), talk.ids)
        for start, end, action in spans(talk):
            assert list(action.logprobs) == approx(expected[start - 1 : end - 1], abs=2e-4)
            assert list(action.logprobs) != approx(plain[start - 1 : end - 1], abs=1e-2)


def test_an_adapter_of_a_base_from_elsewhere_is_refused(tmp_path: Path) -> None:
    learner = with_lora(model(), 2)
    learner.peft_config["default"].base_model_name_or_path = str(tmp_path / "other")  # type: ignore[index]
    shared = tmp_path / "shared"
    shared.mkdir()
    with engine(shared) as spec:
        refuse(spec, learner, "below that of --weights")
    assert list(shared.iterdir()) == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hf:somewhere", "expected '' [(]in this process[)], 'continuous'"),
        ("continuous?width=3", "expected '' [(]in this process[)], 'continuous'"),
        ("openai:m@http://me:word@127.0.0.1:1/v1", "expected weights=FOLDER.*got none"),
        ("openai:m@http://127.0.0.1:1/v1?weights=/nowhere/at/all", "got '/nowhere/at/all'"),
        ("openai:m@http://127.0.0.1:1/v1?heat=2", "expected weights=FOLDER"),
    ],
)
def test_an_engine_that_cannot_be_is_refused_in_one_line(spec: str, message: str) -> None:
    refuse(spec, model(), message)


def test_an_unknown_option_of_an_engine_is_named(tmp_path: Path) -> None:
    spec = f"openai:m@http://127.0.0.1:1/v1?weights={tmp_path}&heat=2"
    refuse(spec, model(), "'heat'.*correct the options")


def test_an_endpoint_that_takes_no_weights_trains_nobody(tmp_path: Path) -> None:
    with serving(Scripted(lambda _: "roll")) as server:
        spec = f"openai:tiny@{server.url}?weights={tmp_path}"
        refuse(spec, model(), "no language model")
    assert list(tmp_path.iterdir()) == []


def test_the_default_engine_is_the_one_in_this_process() -> None:
    with open_engine("", model(), chat(), SAMPLING, 3) as speaker:
        assert isinstance(speaker, LMPolicy) and speaker.version == 3
