"""What is secret is masked, whoever wrote it where; what only looks a little like it is not."""

import json
from typing import Any

import pytest

from agents.secrets import hidden_values, masked, masked_arguments, masked_data

SECRET = "hunter2-Zq"


@pytest.mark.parametrize(
    "text",
    [
        f"openai:m@https://me:{SECRET}@host/v1",
        f"openai:m@https://{SECRET}@host/v1",
        f"openai:m@https://me:{SECRET}/@host/v1",  # a password that should have been quoted
        f"https://me:a@{SECRET}@host",
        f"https://host/v1?key={SECRET}&n=1",
        f"https://host/v1?n=1&access_token={SECRET}",
        f"openai:m@http://h?api-key={SECRET}",
        f'openai:m@http://h?extra={{"api_key": "{SECRET}"}}',
        f'openai:m@http://h?extra={{"headers":{{"X-API-Key":"a\\"{SECRET}"}}}}',
        f"make_policy('openai:m', api_key='{SECRET}')",
        f"Authorization: Bearer {SECRET}",
        f"authorization: Basic {SECRET}",
        f"got Bearer {SECRET} from the client",
        f"lmenvs eval --api-key {SECRET} --seed 1",
        f"lmenvs eval --api-key={SECRET}",
        f"OPENAI_API_KEY={SECRET} lmenvs eval",
        f"password = {SECRET}",
        "bad key sk-proj-hunter2-Zq0123456789",
        "bad token hf_hunter2Zq0123456789",
        "bad token ghp_hunter2Zq01234567890123456789",
    ],
)
def test_a_secret_is_masked_wherever_it_stands(text: str):
    assert "hunter2" not in masked(text) and "***" in masked(text)
    assert masked(masked(text)) == masked(text)
    assert "hunter2" not in json.dumps(masked_data([{"a": text}]))
    assert "hunter2" not in masked_arguments([text])[0]


def test_the_argument_behind_a_secret_option_is_masked():
    given = ["eval", "--api-key", SECRET, "--token", "--seed", "1", f"--hub-token={SECRET}", "-x"]
    shown = ["eval", "--api-key", "***", "--token", "--seed", "1", "--hub-token=***", "-x"]
    assert masked_arguments(given) == shown


@pytest.mark.parametrize(
    "text",
    [
        "hf:runs/demo?temperature=0&max_new_tokens=16",
        "openai:m@http://localhost:8000/v1?max_tokens=16&parse=last-line",
        "lmenvs/DelayedKey-v0?keys=3&delay=2",
        "lmenvs train archer --token-baseline --monkey 3 --max-new-tokens 16",
        "set LMENVS_API_KEY or OPENAI_API_KEY to a key it takes",
        "OpenAIPolicy.__init__() got an unexpected keyword argument 'api_key'",
        "expected key, got token: x; a bearer of news; basic information",
        "see http://a.example, or write to me@b.example",
        "state_key: room 3",
    ],
)
def test_what_is_no_secret_stays(text: str):
    assert masked(text) == text == masked_data(text)
    assert masked_arguments(text.split()) == text.split()


def test_all_text_under_a_secret_name_is_hidden_and_numbers_stay():
    given = {"api_key": "a", "token": None, "auth": ["b", {"user": "c"}], "hf_token": ""}
    given |= {"token_baseline": True, "max_new_tokens": 8, "n": [1, {"password": "d"}]}
    expected: dict[str, Any] = {"api_key": "***", "token": None, "auth": ["***", {"user": "***"}]}
    expected |= {"hf_token": "", "token_baseline": True, "max_new_tokens": 8}
    assert masked_data(given) == {**expected, "n": [1, {"password": "***"}]}


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "HF_TOKEN", "db_password", "AWS_SECRET"])
def test_the_values_of_secret_variables_are_known(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, 'odd"value\\x')
    for text in ('he said odd"value\\x!', json.dumps(['odd"value\\x'])):
        assert "odd" not in masked(text) and "odd" not in hidden_values(text)
    monkeypatch.setenv(name, "dummy")  # too short to be looked for everywhere
    assert masked("a dummy text") == "a dummy text" == hidden_values("a dummy text")


def test_the_working_directory_is_no_password(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PWD", "/home/me/project")
    said = "train --model /home/me/project/runs/start"
    assert masked(said) == said == hidden_values(said) == masked_data(said)


def test_data_keeps_what_only_looks_like_a_secret():
    text = '{"observation": "The key=blue and the password=open lie here."}'
    assert hidden_values(text) == text


def test_a_given_secret_is_masked_however_short():
    assert masked("the key is abc", "abc", None, "") == "the key is ***"
