# over 300 lines: one server, every way in which an endpoint can fail
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

import pytest

from agents import make_policy
from agents.api import OpenAIPolicy, last_line, whole_reply
from agents.protocols import Conversation, Metered, Usage
from agents.rollout import collect, evaluate
from agents.scripted import RandomPolicy
from lmenvs import Action, Message
from tests.support.games import Dice, Scripted, rolls
from tests.support.openai_server import Echo, FailingServer, Failure, serving

SOON = {"Retry-After": "0.01"}


def asking(*texts: str) -> list[Conversation]:
    return [
        Conversation(text, (Message("system", "Play."), Message("user", text)), (1, index))
        for index, text in enumerate(texts)
    ]


def policy_for(server: FailingServer, **options: Any) -> OpenAIPolicy:
    return OpenAIPolicy(server.model, server.url, **options)


def failing(status: int, message: str = "no", **headers: str) -> Failure:
    return (status, {"error": {"message": message, "code": None}}, {**SOON, **headers})


def test_replies_come_back_in_the_order_of_the_conversations() -> None:
    with serving(Echo()) as server:
        policy = policy_for(server, concurrency=4)
        texts = [f"say {index} ünï 🎲" for index in range(40)]
        assert [one.text for one in policy.act(asking(*texts))] == texts
        assert policy.act([]) == []


def test_the_endpoint_sees_the_messages_and_the_settings() -> None:
    with serving(Echo()) as server:
        server.keep = True
        policy_for(server, temperature=0.5, max_tokens=7, extra={"top_p": 0.9}).act(asking("a"))
        policy_for(server, temperature=None, extra={"max_tokens": None, "seed": 5}).act(asking("b"))
        (first, second) = (body for _, body in server.requests)
    assert first["messages"] == [
        {"role": "system", "content": "Play."},
        {"role": "user", "content": "a"},
    ]
    assert (first["model"], first["temperature"], first["max_tokens"]) == ("tiny", 0.5, 7)
    assert first["top_p"] == 0.9
    assert second.keys() == {"model", "messages", "seed"} and second["seed"] == 5


def test_how_a_reply_is_drawn_and_ends_is_sent_where_it_is_given() -> None:
    with serving(Echo()) as server:
        server.keep = True
        make_policy(f"openai:tiny@{server.url}?stop=;&top_k=4&min_p=0.1").act(asking("a"))
        policy_for(server, stop=["a", "b"], top_p=0.5).act(asking("b"))
        (first, second) = (body for _, body in server.requests)
    assert (first["stop"], first["top_k"], first["min_p"]) == ([";"], 4, 0.1)
    assert (second["stop"], second["top_p"]) == (["a", "b"], 0.5)
    assert "top_p" not in first and not {"top_k", "min_p", "logprobs"} & second.keys()


def test_a_key_or_a_login_that_a_server_repeats_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LMENVS_API_KEY", "very-secret-word")
    with serving(Echo(), [failing(401, "no user of key very-secret-word")]) as server:
        url = server.url.replace("://", "://me:word@")
        policy = OpenAIPolicy("tiny", url, tries=1)
        with pytest.raises(ValueError, match="HTTP 401 no user of key") as caught:
            policy.act(asking("a"))
        assert policy.act(asking("a")) == [Action("a")]
    for shown in (str(caught.value), repr(policy), repr(policy.endpoint), str(vars(policy))):
        assert "very-secret-word" not in shown and "me:word" not in shown


def test_equal_conversations_are_asked_with_equal_seeds_and_others_with_others() -> None:
    with serving(Echo()) as server:
        server.keep = True
        for _ in range(2):
            policy_for(server, concurrency=1).act(asking("a", "b"))
        seeds = [body["seed"] for _, body in server.requests]
    assert seeds[:2] == seeds[2:] and seeds[0] != seeds[1]


def test_the_key_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Echo()) as server:
        server.keep = True
        monkeypatch.delenv("LMENVS_API_KEY", raising=False)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        policy_for(server).act(asking("a"))
        monkeypatch.setenv("OPENAI_API_KEY", "two")
        policy_for(server).act(asking("a"))
        monkeypatch.setenv("LMENVS_API_KEY", "one")
        policy_for(server).act(asking("a"))
        keys = [headers.get("Authorization") for headers, _ in server.requests]
    assert keys == [None, "Bearer two", "Bearer one"]


def test_tokens_are_counted() -> None:
    with serving(Echo()) as server:
        policy = policy_for(server)
        policy.act(asking("a", "b"))
        assert policy.usage == Usage(requests=2, prompt_tokens=6, completion_tokens=4)
        assert isinstance(policy, Metered) and not isinstance(RandomPolicy(), Metered)


@pytest.mark.parametrize(
    "failure",
    [failing(429), failing(500), (503, "<html>busy</html>", SOON), (0, "", {})],
    ids=["too many requests", "server error", "a proxy's page", "a broken connection"],
)
def test_what_fails_in_passing_is_asked_again(failure: Failure) -> None:
    with serving(Echo()) as server:
        policy = policy_for(server)
        policy.act(asking("first contact"))
        server.failures = [failure, failure]
        assert policy.act(asking("hello")) == [Action("hello")]
        assert server.failures == []


def test_a_reply_that_does_not_come_is_asked_for_again() -> None:
    with serving(Echo(), [(-1, "", {})]) as server:
        assert policy_for(server, timeout=0.3).act(asking("hello")) == [Action("hello")]


def test_after_the_last_try_the_failure_is_told_in_one_line() -> None:
    with serving(Echo(), [failing(429, "slow\ndown")] * 3) as server:
        with pytest.raises(ConnectionError) as caught:
            policy_for(server, tries=3).act(asking("hello"))
        assert server.failures == []
    line = str(caught.value)
    assert "gave up after 3 tries" in line and "HTTP 429 slow down" in line and "\n" not in line


def test_one_failure_stops_the_requests_that_wait() -> None:
    patient = {"Retry-After": "50"}
    busy: Failure = (429, {"error": {"message": "busy"}}, patient)
    with serving(Echo(), [busy, failing(401, "bad key")]) as server:
        started = time.monotonic()
        with pytest.raises(ValueError, match="HTTP 401 bad key"):
            policy_for(server, concurrency=2).act(asking(*"abcdefgh"))
        assert time.monotonic() - started < 10


def test_an_endpoint_that_is_down_is_told_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        started = time.monotonic()
        with pytest.raises(ConnectionError, match=r"expected an OpenAI-compatible server at http"):
            make_policy(f"openai:tiny@{url}").act(asking("a"))
        assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (failing(401, "wrong key"), r"HTTP 401 wrong key; set LMENVS_API_KEY"),
        (failing(404, "no model"), r"HTTP 404 no model; expected the model 'tiny'"),
        (failing(400, "temperature?"), r"HTTP 400 temperature\?; correct the request"),
        ((200, "<html>Hi</html>", {}), r"expected a chat completion, got '<html>Hi"),
        ((200, {"choices": []}, {}), r"expected a chat completion, got '\{\"choices"),
        ((200, {"choices": [{"message": {"content": 5}}]}, {}), r"expected a chat completion"),
        ((200, [1], {}), r"expected a chat completion"),
    ],
)
def test_what_the_user_must_mend_is_told_at_once(failure: Failure, message: str) -> None:
    with serving(Echo(), [failure]) as server:
        with pytest.raises(ValueError, match=message) as caught:
            policy_for(server).act(asking("a"))
        assert "\n" not in str(caught.value)


def test_a_conversation_that_outgrew_the_window_truncates_its_episode() -> None:
    said = "This model's maximum context length is 8 tokens."
    with serving(rolls(9)) as server:
        policy = policy_for(server)
        policy.act(asking("first contact"))
        server.failures = [failing(400, said)]
        (episode,) = collect(Dice, policy, [0])
    assert episode.truncated and episode.turns == ()


def test_a_reply_cut_short_says_so_and_an_empty_one_is_an_empty_action() -> None:
    cut: Failure = (
        200,
        {"choices": [{"message": {"content": "go ea"}, "finish_reason": "length"}]},
        {},
    )
    null: Failure = (
        200,
        {"choices": [{"message": {"content": None}, "finish_reason": "stop"}], "usage": None},
        {},
    )
    with serving(Echo(), [cut, null]) as server:
        policy = policy_for(server)
        assert policy.act(asking("a")) == [Action("go ea", finish="length")]
        assert policy.act(asking("a")) == [Action("")]


def test_a_reply_is_the_action_or_its_last_line() -> None:
    assert whole_reply("  go\neast \n") == "go\neast"
    assert last_line("I think.\n\n go east \n\n") == "go east"
    assert last_line(" \n") == ""
    with serving(Echo()) as server:
        policy = make_policy(f"openai:tiny@{server.url}?parse=last-line&temperature=0")
        assert policy.act(asking("Hm.\ngo east")) == [Action("go east")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parse": "guess"}, "expected one of reply, last-line"),
        ({"tries": 0}, "tries=0; expected at least 1"),
        ({"base_url": "localhost:8000"}, "expected http"),
    ],
)
def test_bad_settings_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OpenAIPolicy("tiny", **arguments)


def test_a_served_policy_plays_as_it_does_at_home() -> None:
    here = evaluate("lmenvs/Microwave-v0", openers(), episodes=4, name="x")
    with serving(openers()) as server:
        there = evaluate("lmenvs/Microwave-v0", policy_for(server), episodes=4, name="x")
    assert there.episodes == here.episodes and there.success.mean == 1.0
    assert there.usage is not None and there.usage.requests == 4 * 3


def openers() -> Scripted:
    """Solves the microwave from what it reads."""

    def answer(conversation: Conversation) -> str:
        text = conversation.messages[-1].content
        if "inside" in text or "in the microwave" in text:
            return "close the microwave"
        closed = "microwave is closed" in text
        return "open the microwave" if closed else "put the pancake in the microwave"

    return Scripted(answer)


def test_requests_that_wait_are_answered_in_one_batch() -> None:
    class Slow(Echo):
        def act(self, conversations: Sequence[Conversation]) -> list[Action]:
            time.sleep(0.1)
            return super().act(conversations)

    slow = Slow()
    with serving(slow) as server:
        policy_for(server, concurrency=8).act(asking(*"abcdefgh"))
    assert sum(map(len, slow.batches)) == 8 and max(map(len, slow.batches)) >= 4


def post(url: str, body: bytes) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=5) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


USER = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("request_body", "status"),
    [
        ({"messages": USER}, 200),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}, 200),
        ({"messages": USER, "model": "other"}, 404),
        ({"messages": USER, "stream": True}, 400),
        ({"messages": USER, "tools": [{}]}, 400),
        ({"messages": []}, 400),
        ({"messages": [{"role": "robot", "content": "hi"}]}, 400),
        ({"messages": [{"role": "assistant", "content": "hi"}]}, 400),
        ({"messages": [{"role": "user", "content": None}]}, 400),
        ({"messages": 7}, 400),
        ([], 400),
        ("text", 400),
    ],
)
def test_the_server_answers_every_request_in_the_openai_format(
    request_body: object, status: int
) -> None:
    with serving(Echo()) as server:
        got, reply = post(f"{server.url}/chat/completions", json.dumps(request_body).encode())
    assert got == status
    if status == 200:
        assert reply["choices"][0]["message"] == {"role": "assistant", "content": " hi\n"}
        assert reply["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    else:
        assert reply["error"]["message"]


def test_the_server_lists_its_model_and_knows_no_other_page() -> None:
    with serving(Echo()) as server:
        with urllib.request.urlopen(f"{server.url}/models", timeout=5) as reply:
            assert [model["id"] for model in json.load(reply)["data"]] == ["tiny"]
        assert post(f"{server.url}/elsewhere", b"{}")[0] == 404
        assert post(f"{server.url}/chat/completions", b"{broken")[0] == 400


def test_a_policy_that_fails_does_not_stop_the_server() -> None:
    def answer(conversation: Conversation) -> str:
        text = conversation.messages[-1].content
        if text == "hi":
            raise RuntimeError("overheated")
        if text == "what":
            raise ValueError("not this")
        return "fine"

    with serving(Scripted(answer)) as server:
        url = f"{server.url}/chat/completions"
        assert post(url, json.dumps({"messages": USER}).encode())[0] == 500
        what = json.dumps({"messages": [{"role": "user", "content": "what"}]}).encode()
        assert post(url, what)[0] == 400
        other = json.dumps({"messages": [{"role": "user", "content": "yo"}]}).encode()
        assert post(url, other)[1]["choices"][0]["message"]["content"] == "fine"


def test_the_server_runs_as_a_command() -> None:
    command = [sys.executable, "-m", "agents.serve", "random", "--port", "0", "--model", "dice"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("serving dice at http://127.0.0.1:")
            url = line.split()[3].rstrip(";")
            policy = make_policy(f"openai:dice@{url}")
            (action,) = policy.act(asking("Commands: go east"))
            assert action.text == "go east"
        finally:
            process.terminate()
    failed = subprocess.run(
        [sys.executable, "-m", "agents.serve", "nobody"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 2 and "policy 'nobody'; expected" in failed.stderr
