"""Many clients at one server: the answers are those of one at a time, and passes are shared."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from pytest import approx

from agents.api import OpenAIPolicy
from agents.lm import LMPolicy
from agents.sampling import Sampling
from agents.serve import PolicyServer
from agents.serving import Answers, Question
from lmenvs.types import Message
from tests.support.games import Scripted
from tests.support.language import (
    Talk,
    chat,
    full_logprobs,
    interrupted_after,
    model,
    policy,
    spans,
)
from tests.support.openai_server import Echo, serving

NAMES = [f"client {number}" for number in range(16)]


def question(name: str, **fields: object) -> Question:
    messages = tuple(Talk(name).messages)
    return Question("tiny", messages, sum(map(ord, name)), **fields)  # type: ignore[arg-type]


def test_sixteen_clients_at_once_get_what_they_get_alone() -> None:
    alone = Answers({"tiny": policy()})
    with interrupted_after(0) as one_by_one:
        expected = [alone.ask(question(name)) for name in NAMES]
    alone.close()
    answers = Answers({"tiny": policy()})
    gate = threading.Event()

    def hold() -> None:
        assert gate.wait(60)

    with ThreadPoolExecutor(17) as pool, interrupted_after(0) as together:
        held = pool.submit(answers.change, hold)  # until everybody has asked
        asked = [pool.submit(answers.ask, question(name)) for name in NAMES]
        while answers.waiting < len(NAMES):
            gate.wait(0.01)
        gate.set()
        got = [one.result() for one in asked]
        held.result()
    answers.close()
    assert [action.token_ids for action in got] == [action.token_ids for action in expected]
    assert len({action.token_ids for action in got}) > 8
    for action, same in zip(got, expected, strict=True):
        assert list(action.logprobs) == approx(list(same.logprobs), abs=2e-4)
    assert together.forwards < one_by_one.forwards / 4


def test_sixteen_clients_over_http_get_what_one_gets_who_asks_for_all_in_turn() -> None:
    def conversations(concurrency: int) -> list[Talk]:
        with serving(policy()) as server:
            client = OpenAIPolicy(
                "tiny", server.url, max_tokens=6, tokens=True, concurrency=concurrency
            )
            talks = [Talk(name) for name in NAMES]
            for _ in range(3):
                actions = client.act([talk.conversation() for talk in talks])
                for talk, action in zip(talks, actions, strict=True):
                    talk.said(action)
            client.close()
        return talks

    for talk, alone in zip(conversations(16), conversations(1), strict=True):
        assert [a.token_ids for a in talk.actions] == [a.token_ids for a in alone.actions]
        ids: list[int] = []
        for action in talk.actions:
            ids = ([] if action.fresh else ids) + [*action.prompt_ids, *action.token_ids]
            expected = full_logprobs(model(), ids)[-len(action.token_ids) :]
            assert list(action.logprobs) == approx(expected, abs=2e-4)


def test_prompts_of_ids_go_on_with_what_was_sampled() -> None:
    language_model = model()
    with serving(policy(language_model)) as server:
        client = OpenAIPolicy("tiny", server.url, max_tokens=6, chat=chat())
        talks = [Talk(name) for name in NAMES[:3]]
        for _ in range(4):
            for talk, action in zip(
                talks, client.act([t.conversation() for t in talks]), strict=True
            ):
                talk.said(action)
        client.close()
    for talk in talks:
        assert [action.fresh for action in talk.actions] == [True, False, False, False]
        expected = full_logprobs(language_model, talk.ids)
        for start, end, action in spans(talk):
            assert list(action.logprobs) == approx(expected[start - 1 : end - 1], abs=2e-4)
            assert action.text == chat().decode(action.token_ids)


def test_a_full_window_ends_the_conversation_over_http_too() -> None:
    language_model = model(context=24)
    with serving(policy(language_model)) as server:
        measured = chat()
        measured.context = 24
        client = OpenAIPolicy("tiny", server.url, max_tokens=64, chat=measured)
        talk = Talk("a")
        talk.messages[-1] = Message("user", "roll " * 40)
        (action,) = client.act([talk.conversation()])
        client.close()
    assert action.finish == "context" and action.token_ids == ()
    (same,) = policy(language_model).act([talk.conversation()])
    assert action == same


def test_a_request_says_how_it_is_sampled() -> None:
    answers = Answers({"tiny": policy(tokens=4)})
    free = [answers.ask(question(name)) for name in NAMES]
    greedy = [answers.ask(question("a", sampling={"temperature": 0.0})) for _ in range(2)]
    assert greedy[0] == greedy[1] and set(greedy[0].logprobs) == {0.0}
    long = answers.ask(question("a", sampling={"temperature": 0.0, "max_new_tokens": 9}))
    assert long.token_ids[:4] == greedy[0].token_ids
    expected = LMPolicy(model(), chat(), Sampling(temperature=0.0, max_new_tokens=9))
    talk = Talk("a")
    assert expected.act([talk.conversation()])[0].token_ids == long.token_ids
    stop = free[0].text[1]
    cut = answers.ask(question(NAMES[0], sampling={"stop": (stop,)}))
    assert stop not in cut.text and free[0].text.startswith(cut.text)
    with pytest.raises(ValueError, match="temperature -1"):
        answers.ask(question("a", sampling={"temperature": -1.0}))
    # however much is asked for, memory is taken for one window at most
    answers.ask(question("a", sampling={"max_new_tokens": 10**12, "stop": ("o", "e", " ")}))
    answers.close()


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        (Question("other", (), 0), LookupError, "no model 'other'; this server has 'tiny'"),
        (Question("tiny", (), 0, prompt_ids=(5, 10**6)), ValueError, "expected ids from 0 to"),
        (Question("tiny", (), 0, prompt_ids=(-1,)), ValueError, "expected ids from 0 to"),
    ],
)
def test_one_bad_question_harms_nobody_else(
    asked: Question, error: type[Exception], message: str
) -> None:
    answers = Answers({"tiny": policy()})
    with pytest.raises(error, match=message):
        answers.ask(asked)
    assert answers.ask(question("a")).token_ids
    answers.close()


def test_a_policy_that_reads_messages_refuses_ids() -> None:
    with serving(Scripted(lambda _: "roll")) as server:
        reply = httpx.post(f"{server.url}/completions", json={"prompt": [1, 2]})
        assert reply.status_code == 400
        assert "reads messages, not ids" in reply.json()["error"]["message"]
        text = httpx.post(f"{server.url}/completions", json={"prompt": "Once"})
        assert "a list of token ids" in text.json()["error"]["message"]


def test_an_endpoint_without_ids_serves_evaluation_but_not_training() -> None:
    with serving(Scripted(lambda _: "roll")) as server:
        asking = OpenAIPolicy("tiny", server.url, tokens=True)
        (action,) = asking.act([Talk("a").conversation()])
        assert (action.text, action.token_ids, action.logprobs) == ("roll", (), ())
    silent = {"choices": [{"text": "roll", "finish_reason": "stop"}]}
    with serving(Echo(), [(200, silent, {})]) as server:
        training = OpenAIPolicy("tiny", server.url, chat=chat())
        with pytest.raises(ValueError, match=r"expected the ids of the tokens.*got none") as caught:
            training.act([Talk("a").conversation()])
        assert "\n" not in str(caught.value)


@contextlib.contextmanager
def running(server: PolicyServer) -> Iterator[str]:
    """The url of a server that stops when the block ends."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def saved(folder: Path, seed: int) -> Path:
    language_model = model(seed=seed)
    chat().save(language_model, folder)
    return folder


def test_weights_are_taken_from_below_one_folder_only(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    inside, outside = saved(root / "new", 1), saved(tmp_path / "out", 1)
    (root / "empty").mkdir()
    with running(PolicyServer(policy(), "tiny", weights=root)) as url:
        before = ask(url)
        for path, status in ((outside, 403), (root / ".." / "out", 403), (root / "empty", 400)):
            reply = httpx.post(
                f"{url[:-3]}/update_weights_from_disk", json={"model_path": f"{path}"}
            )
            assert reply.status_code == status, reply.text
            assert "\n" not in reply.json()["error"]["message"]
        assert ask(url) == before
        reply = httpx.post(f"{url[:-3]}/update_weights_from_disk", json={"model_path": f"{inside}"})
        assert reply.status_code == 200 and ask(url) != before
        missing = httpx.post(f"{url[:-3]}/update_weights_from_disk", json={})
        assert missing.status_code == 400 and "model_path" in missing.text
        for page in ("sleep", "wake_up"):
            assert httpx.post(f"{url[:-3]}/{page}?level=1").status_code == 200
    with running(PolicyServer(policy(model(seed=1)), "tiny")) as url:
        refused = httpx.post(f"{url[:-3]}/update_weights_from_disk", json={"model_path": "x"})
        assert refused.status_code == 403 and "--weights" in refused.text


def ask(url: str) -> list[int]:
    body = {"messages": [{"role": "user", "content": "Total 3."}], "return_token_ids": True}
    reply = httpx.post(f"{url}/chat/completions", json=body).json()
    return reply["choices"][0]["token_ids"]
