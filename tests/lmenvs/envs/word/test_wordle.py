import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

import lmenvs
from lmenvs.envs.word.word_lists import KNOWN_LISTS, fingerprint, load_words, shipped_words
from lmenvs.envs.word.wordle import Wordle, parse_guess
from lmenvs.envs.word.wordle_rules import (
    FEEDBACKS,
    Feedback,
    consistent,
    marks,
    marks_table,
)

SMALL = ["crane", "slate", "eerie", "geese", "elegy", "sleep", "moist", "llama"]
NUMBER = str.maketrans("byg", "012")


def play_expert(env: Wordle, answer: str) -> tuple[float, bool]:
    env.reset(seed=0, options={"answer": answer})
    total = 0.0
    while True:
        _, reward, terminated, _, info = env.step(env.expert_action())
        total += float(reward)
        if terminated:
            return total, bool(info["success"])


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ("crane", "crane"),
        (" CRANE\n", "crane"),
        ("c r a n e", "crane"),
        ("C-R-A-N-E", "crane"),
        ("c, r, a, n, e", "crane"),
        ("guess: crane", "crane"),
        ("My guess is crane.", "crane"),
        ("Word = 'crane'", "crane"),
        ("answer: c r a n e", "crane"),
        ("**crane**", "crane"),
        ("guess", "guess"),
        ("words", "words"),
        ("guess guess", "guess"),
        ("", None),
        ("cranes", None),
        ("cran", None),
        ("crane or slate", None),
        ("cr ane", None),
        ("cr4ne", None),
        ("crané", None),
        ("ｃｒａｎｅ", None),
        ("cra\x00ne", None),
        ("\ud800rane", None),
        ("crane" * 1000, None),
        ("guess:", None),
    ],
)
def test_a_guess_is_read_from_text(text: str, guess: str | None):
    assert parse_guess(text) == guess


@pytest.mark.parametrize(
    ("guess", "answer", "official", "lmrl"),
    [
        ("crane", "crane", "ggggg", "ggggg"),
        ("moist", "crane", "bbbbb", "bbbbb"),
        ("eerie", "crane", "bbybg", "yyybg"),
        ("eerie", "elegy", "gybbb", "gybby"),
        ("geese", "elegy", "yygbb", "yygby"),
        ("llama", "slate", "bggbb", "yggby"),
        ("speed", "abide", "bbyby", "bbyyy"),
        ("allee", "apple", "gybbg", "gyyyg"),
    ],
)
def test_marks_are_those_found_by_hand(guess: str, answer: str, official: str, lmrl: str):
    assert marks(guess, answer, "official") == official
    assert marks(guess, answer, "lmrl") == lmrl


@pytest.mark.parametrize("feedback", FEEDBACKS)
def test_the_table_of_marks_is_marks_for_all_pairs(feedback: Feedback):
    words = [*random.Random(0).sample(sorted(shipped_words()[1]), 120), *SMALL]
    table = marks_table(words, words, feedback)
    expected = [[int(marks(g, a, feedback).translate(NUMBER), 3) for a in words] for g in words]
    assert table.tolist() == expected


def test_both_feedbacks_agree_where_no_letter_is_repeated():
    words = [word for word in shipped_words()[0] if len(set(word)) == 5][::40]
    assert all(marks(a, b, "official") == marks(a, b, "lmrl") for a in words for b in words)


@pytest.mark.parametrize("feedback", FEEDBACKS)
def test_the_answer_always_stays_among_the_consistent_words(feedback: Feedback):
    words = tuple(SMALL)
    for answer in words:
        for guess in words:
            left = consistent(words, guess, marks(guess, answer, feedback), feedback)
            assert answer in left
            assert (guess in left) == (guess == answer)


def test_the_expert_solves_nearly_all_words():
    env = Wordle()
    results = [play_expert(env, answer) for answer in env.answers[::20]]
    assert sum(success for _, success in results) / len(results) >= 0.97
    assert sum(total for total, _ in results) / len(results) >= -2.8


def test_the_expert_finds_a_word_that_is_only_a_guess():
    env = Wordle()
    only_guess = next(iter(sorted(shipped_words()[1] - set(shipped_words()[0]))))
    env.reset(seed=0, options={"answer": only_guess})
    env.step("crane")
    assert env.expert_action() in shipped_words()[1]


def test_six_misses_lose_and_only_then_is_the_word_told():
    env = Wordle()
    env.reset(seed=0, options={"answer": "Elegy"})
    texts = [env.step("crane") for _ in range(6)]
    assert [reward for _, reward, *_ in texts] == [-1.0] * 6
    assert [terminated for _, _, terminated, *_ in texts] == [False] * 5 + [True]
    assert all("elegy" not in text for text, *_ in texts[:5])
    assert "elegy" in texts[5][0]
    assert texts[5][4]["success"] is False


def test_solving_costs_nothing_more_even_in_the_last_try():
    env = Wordle()
    env.reset(seed=0, options={"answer": "elegy"})
    for _ in range(5):
        env.step("crane")
    text, reward, terminated, _, info = env.step("elegy")
    assert (text, reward, terminated, info["success"]) == ("g g g g g", 0.0, True, True)
    assert env.progress() == 1.0


@pytest.mark.parametrize(
    ("on_invalid", "reward", "ends"),
    [("penalise", -1.0, False), ("noop", 0.0, False), ("terminate", -1.0, True)],
)
@pytest.mark.parametrize(("text", "error"), [("zzzzz", "unknown"), ("a word", "malformed")])
def test_an_invalid_guess_uses_up_a_try(
    on_invalid: Any, reward: float, ends: bool, text: str, error: str
):
    env = Wordle(on_invalid=on_invalid)
    env.reset(seed=0, options={"answer": "elegy"})
    observation, paid, terminated, _, info = env.step(text)
    assert (paid, terminated, info["error"]) == (reward, ends, error)
    assert ("elegy" in observation) == ends
    assert env.turn == 1


def test_invalid_guesses_say_nothing_about_the_word():
    texts: list[list[str]] = []
    for answer in ("elegy", "crane"):
        env = Wordle()
        first, _ = env.reset(seed=0, options={"answer": answer})
        texts.append([first, *(env.step(text)[0] for text in ("zzzzz", "", answer[:4], "moist"))])
    assert texts[0][:4] == texts[1][:4]


def test_a_guess_that_fits_both_words_alike_says_the_same_about_them():
    texts: list[str] = []
    for answer in ("elegy", "geese"):
        env = Wordle()
        env.reset(seed=0, options={"answer": answer})
        texts.append(env.step("acorn")[0])
    assert texts == ["b b b b b"] * 2


def test_progress_is_the_best_number_of_letters_in_place():
    env = Wordle()
    env.reset(seed=0, options={"answer": "crane"})
    seen = [env.progress()]
    for guess in ("moist", "crate", "slate"):
        env.step(guess)
        seen.append(env.progress())
    assert seen == [0.0, 0.0, 0.8, 0.8]


def test_train_and_test_answers_are_disjoint_and_together_all():
    train, test = Wordle(split="train").answers, Wordle(split="test").answers
    assert not set(train) & set(test)
    assert sorted(train + test) == list(shipped_words()[0])
    drawn = {drawn_answer("test", seed) for seed in range(50)}
    assert drawn <= set(test) and len(drawn) > 30


def drawn_answer(split: Any, seed: int) -> str:
    env = Wordle(split=split)
    env.reset(seed=seed)
    return env.answer()


def test_the_shipped_lists_are_words_with_their_licence():
    answers, allowed = shipped_words()
    assert len(answers) == 2126 and len(allowed) == 6694
    assert set(answers) <= allowed
    assert list(answers) == sorted(set(answers))
    folder = Path(lmenvs.__file__).parent / "envs" / "word" / "data"
    for name in ("answers.txt", "guesses.txt"):
        text = (folder / name).read_text(encoding="ascii")
        assert "SCOWL" in text and "Copyright 2000-2011 by Kevin Atkinson" in text
        assert "provided that the above copyright notice appears in all copies" in text


def test_the_shipped_lists_never_change_within_a_version():
    answers, allowed = shipped_words()
    assert fingerprint(answers)[:16] == "2203bb18d150b2cd"
    assert fingerprint(allowed)[:16] == "e5907cc0b9dc64c9"


def test_a_list_is_both_answers_and_guesses_whatever_its_form(tmp_path: Path):
    path = tmp_path / "words.txt"
    path.write_text("# mine\nSlate\n\ncrane\r\ncrane\n", encoding="utf-8")
    from_file, from_sequence = Wordle(words=str(path)), Wordle(words=["slate", "crane", "SLATE"])
    for env in (from_file, from_sequence):
        assert env.answers == ("crane", "slate")
        assert env.admissible_actions() == ["crane", "slate"]
        env.reset(seed=0)
        assert env.step("moist")[4]["error"] == "unknown"
    env = lmenvs.make('lmenvs/Wordle-v0?words=["crane"]')
    env.reset(seed=0)
    assert env.answer() == "crane"


def test_a_fingerprint_is_the_hash_of_the_sorted_words():
    expected = hashlib.sha256(b"crane\nslate\n").hexdigest()
    assert fingerprint(["Slate", "crane", "slate"]) == expected
    assert all(len(key) == 64 for key in KNOWN_LISTS)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["crane", "cranes"], "'cranes' is no word"),
        (["crané"], "is no word"),
        ([3], "3 is no word"),
        ([], "no words"),
        (5, "words=5; expected a path or a list of words"),
    ],
)
def test_a_list_with_something_else_is_refused(words: Any, match: str):
    with pytest.raises(ValueError, match=match):
        load_words(words)


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.txt.*no such file"):
        Wordle(words="nowhere.txt")


@pytest.mark.parametrize("answer", ["zzzzz", "cranes", "", 5])
def test_an_answer_outside_the_list_is_refused(answer: Any):
    with pytest.raises(ValueError, match="expected one of the 6694 allowed words"):
        Wordle().reset(seed=0, options={"answer": answer})


def test_an_empty_split_is_refused():
    with pytest.raises(ValueError, match="split='test' holds none of the 1 words"):
        Wordle(words=["crane"], split="test")
    with pytest.raises(ValueError, match="feedback='mine'; expected one of 'official', 'lmrl'"):
        Wordle(feedback="mine")  # type: ignore[arg-type]


def test_marks_are_shown_behind_their_letters_where_that_is_asked_for():
    env = Wordle(words=SMALL, shows="letters")
    env.reset(seed=0, options={"answer": "slate"})
    assert env.step("crane")[0] == "c b, r b, a g, n b, e g"
    assert env.step("slate")[0] == "s g, l g, a g, t g, e g"
    with pytest.raises(ValueError, match="shows='both'; expected one of 'marks', 'letters'"):
        Wordle(words=SMALL, shows="both")  # type: ignore[arg-type]
