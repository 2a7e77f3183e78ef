"""`gym.make_vec` gives the same text in one process and in many, whatever the text is."""

import copy
from typing import Any

import gymnasium
import numpy as np
import pytest

import lmenvs
from lmenvs.spaces import BUFFER_BYTES
from tests.contract.echo import ID, SCRIPTS

N = 3
CONTEXTS = ["fork", "spawn"]


def _vector(name: str, mode: str, context: str | None = None, **arguments: Any) -> Any:
    given = {"context": context} if mode == "async" else {}
    return gymnasium.make_vec(
        name, num_envs=N, vectorization_mode=mode, vector_kwargs=given, **arguments
    )


def _played(env: Any, actions: list[tuple[str, ...]]) -> list[Any]:
    """Everything that is said, as plain data, copied as it comes."""
    observations, _ = env.reset(seed=4)
    heard: list[Any] = [list(observations)]
    for each in actions:
        texts, rewards, terminated, truncated, info = env.step(each)
        heard.append((list(texts), rewards.tolist(), terminated.tolist(), truncated.tolist()))
        heard.append([str(error) for error in info["error"]])
    env.close()
    return heard


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize(
    "name", ["lmenvs/Maze-v0", "lmenvs/Microwave-v0", "lmenvs/BernoulliBandit-v0"]
)
def test_async_plays_what_sync_plays(name: str, context: str):
    env = lmenvs.make(name)
    env.reset(seed=0)
    legal = [*(env.admissible_actions() or []), "nonsense", "żółć 日本語 🎲"]
    picks = np.random.default_rng(0).integers(len(legal), size=(8, N))
    actions = [tuple(legal[int(pick)] for pick in row) for row in picks]
    assert _played(_vector(name, "async", context), actions) == _played(
        _vector(name, "sync"), actions
    )


@pytest.mark.parametrize("context", CONTEXTS)
def test_text_of_every_script_and_size_arrives_whole(context: str):
    actions: list[tuple[str, ...]] = [
        (SCRIPTS[i % 9], SCRIPTS[(i + 1) % 9], SCRIPTS[(i + 2) % 9]) for i in range(9)
    ]
    actions += [("100000:x", "25000:🎲", ""), ("", "short", "30000:日本")]
    sync = _played(_vector(ID, "sync"), actions)
    assert _played(_vector(ID, "async", context), actions) == sync
    assert sync[-4][0] == ["x" * 100_000, "🎲" * 25_000, ""]
    assert sync[-2][0] == ["", "short", "日本" * 30_000]


def test_what_was_returned_does_not_change_with_the_next_step():
    env = _vector(ID, "async", "fork")
    first, _ = env.reset(seed=0)
    kept = copy.deepcopy(first)
    second, *_ = env.step(("one", "two", "three"))
    assert tuple(second) == ("one", "two", "three")
    assert tuple(first) == tuple(kept) != tuple(second)
    env.close()


@pytest.mark.filterwarnings("ignore:.*ERROR")  # gymnasium also warns of what the worker raised
def test_text_that_does_not_fit_is_an_error_that_names_the_size():
    env = _vector(ID, "async", "fork")
    env.reset(seed=0)
    with pytest.raises(ValueError, match=rf"observation of 300000 bytes, but {BUFFER_BYTES} bytes"):
        env.step(("", "300000:x", ""))
    env.close(terminate=True)


def test_without_shared_memory_any_size_goes_through():
    env = gymnasium.make_vec(
        ID,
        num_envs=2,
        vectorization_mode="async",
        vector_kwargs={"shared_memory": False, "context": "fork"},
    )
    env.reset(seed=0)
    texts, *_ = env.step(("300000:x", "żółć"))
    assert list(texts) == ["x" * 300_000, "żółć"]
    env.close()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_an_episode_that_ends_begins_again(mode: str):
    env = _vector(ID, mode, "fork")
    env.reset(seed=0)
    _, _, terminated, truncated, info = env.step(("stop", "go", "stop"))
    assert terminated.tolist() == [True, False, True] and not truncated.any()
    assert info["success"].tolist()[0] is False
    texts, rewards, terminated, _, _ = env.step(("ignored", "on", "ignored"))
    assert texts[1] == "on" and rewards[0] == 0.0 and not terminated.any()
    alone = gymnasium.make(ID)
    alone.reset(seed=0)
    assert texts[0] == alone.reset()[0]
    env.close()
