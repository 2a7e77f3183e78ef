import time

import pytest

import lmenvs
from lmenvs.envs.engines.jericho import read_command

pytest.importorskip("jericho")

from lmenvs.envs.engines.jericho_world import check_story, clean, error_of
from lmenvs.envs.engines.replay import REPLAYS

CELLAR = """
"Cellar" by "nobody"

Use scoring. The maximum score is 3.

The Kitchen is a room. "A plain kitchen. A trapdoor leads down."
The table is a supporter in the Kitchen. The lamp is a device on the table.
After taking the lamp for the first time: increase the score by 1; say "You take the lamp."
The Cellar is below the Kitchen. The Cellar is dark. "Damp walls."
The gold is in the Cellar. An old key and a new key are in the Cellar.
After taking the gold: increase the score by 2; end the story finally saying "You have won".
The knife is on the table.
Instead of taking the knife: end the story saying "You have died".
Rolling is an action applying to nothing. Understand "roll" as rolling.
Carry out rolling: say "You roll a [a random number from 1 to 1000]."
Instead of switching on the lamp: now the lamp is lit; say "It shines."
Wondering is an action applying to nothing. Understand "wonder" as wondering.
Carry out wondering: say "Really? "; if the player consents, say "Fine."; otherwise say "No."
"""
WAY = ["take lamp", "down", "switch on lamp", "take gold"]


@pytest.fixture(scope="session")
def cellar(tmp_path_factory):
    """A small story that jericho does not know, compiled with TextWorld's Inform."""
    from lmenvs.envs.textworld.games import compile_source

    path = tmp_path_factory.mktemp("stories") / "cellar.z8"
    path.write_bytes(compile_source(CELLAR))
    return path


def make(path, **arguments):
    return lmenvs.make("lmenvs/Jericho-v0", path=str(path), **arguments)


@pytest.mark.parametrize(
    ("text", "command", "error"),
    [
        ("look", "look", None),
        ("  Put   the COIN in box. ", "put the coin in box", None),
        ("troll, give me the axe", "troll, give me the axe", None),
        ("yes", "yes", None),
        ("g", "g", None),
        ("", "", "malformed"),
        ("...", "", "malformed"),
        ("quit", "", "malformed"),
        ("q.", "", "malformed"),
        ("say save", "", "malformed"),
        ("n then restart", "", "malformed"),
        ("n. n", "", "malformed"),
        ("n; n", "n; n", None),
        ("turtle, se and get scroll then nw", "turtle, se and get scroll then nw", None),
        ("n then e", "", "malformed"),
        ("restorx", "", "malformed"),
        ("transcripts", "", "malformed"),
        ("$verify", "", "malformed"),
        ("#record", "", "malformed"),
        ('say "quit"', "", "malformed"),
        ("q, n", "", "malformed"),
        ("look up edward in record", "look up edward in record", None),
        ("give $50", "give $50", None),
        ("\\s", "", "unsafe"),
        ("take \\lamp", "", "unsafe"),
        ("n\x00", "", "unsafe"),
        ("n\nn", "", "unsafe"),
        ("é", "", "unsafe"),
        ("\ud800", "", "unsafe"),
        ("x" * 199, "", "unsafe"),
        ("x" * 198, "x" * 198, None),
    ],
)
def test_only_one_plain_command_reaches_the_interpreter(text, command, error):
    assert read_command(text)[:2] == (command, error)


def test_the_reward_is_the_difference_of_the_score_that_the_story_tells(cellar):
    env = make(cellar, walkthrough=WAY)
    text, _ = env.reset(seed=0)
    assert text.startswith("Cellar\n") and text.endswith("a lamp and a knife) here.")
    rewards, progress, info = [], [], {}
    done = False
    while not done:
        _, reward, done, _, info = env.step(env.expert_action())
        rewards.append(reward)
        progress.append(env.progress())
    assert rewards == [1.0, 0.0, 0.0, 2.0] and info["success"]
    assert progress == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1.0])


def test_a_lost_story_is_terminated_without_success(cellar):
    env = make(cellar)
    env.reset(seed=0)
    text, reward, done, truncated, info = env.step("take knife")
    assert (reward, done, truncated, info["success"]) == (0.0, True, False, False)
    assert text.startswith("*** You have died ***") and "RESTART" not in text


def test_asking_for_the_score_and_invalid_texts_leave_no_trace(cellar):
    env, plain = make(cellar), make(cellar)
    env.reset(seed=0)
    plain.reset(seed=0)
    for text in ("flurb", "take gold", "undo", "", "x\ny"):
        key = env.state_key()
        assert env.step(text)[4]["valid"] is False and env.state_key() == key
    # the same random number and the same turn of the story as without the detours
    assert env.step("roll")[0] == plain.step("roll")[0]
    assert env.step("score")[0] == plain.step("score")[0]
    assert "in 2 turns" in env.step("score")[0]


def test_a_question_of_the_story_can_be_answered(cellar):
    env = make(cellar)
    env.reset(seed=0)
    assert env.step("wonder")[0] == "Really?"
    snapshot = env.snapshot()
    assert env.step("yes")[0] == "Fine."
    env.restore(snapshot)
    assert env.step("no")[0] == "No."


def test_a_question_of_the_parser_can_be_answered(cellar):
    env = make(cellar)
    env.reset(seed=0)
    for action in WAY[:3]:
        env.step(action)
    text, _, _, _, info = env.step("take key")
    assert text == "Which do you mean, the old key or the new key?" and info["valid"]
    assert env.step("new")[0] == "Taken."


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ("I didn't understand that sentence.", "malformed"),
        ('[I don\'t know the word "flurb".]', "malformed"),
        ('[The word "flurb" isn\'t in the vocabulary that you can use.]', "malformed"),
        ("What?", "malformed"),
        ("You can't see any such thing.", "inadmissible"),
        ("You can't see any lamp here!", "inadmissible"),
        ("The troll isn't here!", "inadmissible"),
        ("What? You're joking, of course.", None),
        ("You can't see any light here.\n\nMarvin wanders off.", None),
        ("Which do you mean, the red key or the blue key?", None),
        ("The man shrugs and says 'I don't understand what they mean.'", None),
        ("Office\nA desk.\n\nWhat do you want to do now", None),
    ],
)
def test_only_the_parser_itself_refuses_a_command(told, error):
    assert error_of(told) == error


def test_the_expert_leaves_out_what_changes_nothing(cellar):
    env = make(cellar, walkthrough=["flurb", "take moon", "", *WAY])
    env.reset(seed=0)
    done, played = False, []
    while not done:
        played.append(env.expert_action())
        done = env.step(played[-1])[2]
    assert played == WAY


def test_an_empty_text_is_no_command_where_no_key_is_wanted(cellar):
    env = make(cellar)
    env.reset(seed=0)
    key = env.state_key()
    for text in ("", "   "):
        observation, _, _, _, info = env.step(text)
        assert (observation, info["error"]) == ("Please type a command.", "malformed")
    assert env.state_key() == key


def test_chance_is_fixed_or_drawn_with_the_task(cellar):
    fixed, drawn = make(cellar), make(cellar, chance="drawn")

    def rolls(env, seed):
        env.reset(seed=seed)
        return [env.step("roll")[0] for _ in range(3)]

    assert rolls(fixed, 1) == rolls(fixed, 2)
    assert rolls(drawn, 1) == rolls(drawn, 1) != rolls(drawn, 2)


def test_the_expert_looks_around_off_its_path(cellar):
    env = make(cellar, walkthrough=WAY)
    env.reset(seed=0)
    env.step("roll")
    assert env.expert_action() == "look"
    with pytest.raises(ValueError, match=r"pass walkthrough=\[") as caught:
        make(cellar).expert_action()
    assert "\n" not in str(caught.value)


def test_a_snapshot_lives_on_when_all_interpreters_are_gone(cellar):
    env = make(cellar, walkthrough=WAY)
    env.reset(seed=0)
    env.step("take lamp")
    snapshot = env.snapshot()
    told = [env.step(action)[:3] for action in WAY[1:]]
    REPLAYS.forget()
    other = make(cellar)
    other.restore(snapshot)
    assert [other.step(action)[:3] for action in WAY[1:]] == told


def test_actions_of_an_unknown_story_are_unknown(cellar):
    env = make(cellar)
    env.reset(seed=0)
    assert env.admissible_actions() is None


def test_hostile_texts_are_answered_at_once(cellar):
    env = make(cellar, turn_limit=1000)
    env.reset(seed=0)
    for text in ("x" * 100_000, "x " * 50_000, "then " * 20_000, "." * 100_000, "\\x", "\\s"):
        before = time.thread_time()  # this thread's: other work on the machine does not count
        assert env.step(text)[4]["valid"] is False
        assert time.thread_time() - before < 0.5


@pytest.mark.parametrize("raw", [b"", b"\x08" + bytes(100), b"no story" * 100])
def test_a_damaged_story_is_refused_in_one_line(raw, tmp_path):
    with pytest.raises(ValueError, match="whole Z-machine story") as caught:
        check_story(raw, "x.z8")
    assert "\n" not in str(caught.value)


def test_a_cut_story_never_reaches_the_interpreter(cellar, tmp_path):
    cut = tmp_path / "cut.z8"
    cut.write_bytes(cellar.read_bytes()[:-2000])
    with pytest.raises(ValueError, match="damaged"):
        make(cut)


def test_a_missing_path_is_one_line(tmp_path):
    import gymnasium

    with pytest.raises(ValueError, match="expected a Z-machine story file") as caught:
        gymnasium.make("lmenvs/Jericho-v0")
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="no such file.*a free game of the IF Archive"):
        make(tmp_path / "zork1.z5")
    with pytest.raises(ValueError, match="path=3; expected the path"):
        lmenvs.make("lmenvs/Jericho-v0", path=3)
    with pytest.raises(ValueError, match="one of 'fixed', 'drawn'"):
        lmenvs.make("lmenvs/Jericho-v0", path="example", chance="much")
    for walkthrough in ("north", 3):
        with pytest.raises(ValueError, match="expected a list of commands"):
            lmenvs.make("lmenvs/Jericho-v0", path="example", walkthrough=walkthrough)


def test_an_episode_of_the_example_says_that_it_is_one():
    from agents import make_policy
    from agents.rollout import evaluate

    report = evaluate("lmenvs/Jericho-v0?turn_limit=3", make_policy("expert"), episodes=1, seed=0)
    assert report.episodes[0].env == "lmenvs/Jericho-v0?path=example&turn_limit=3"


def test_the_end_is_cleaned_of_its_questions():
    raw = "\n\n    *** You have won ***\n\n\nWould you like to RESTART, RESTORE or QUIT?\n> "
    assert clean(raw) == "*** You have won ***"


def test_a_forked_process_plays_on_and_leaves_its_parents_interpreters_alone(cellar):
    import multiprocessing

    env = make(cellar)
    env.reset(seed=0)
    env.step("take lamp")
    snapshot = env.snapshot()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        told = pool.apply(_play_on, (str(cellar), snapshot))
    assert told == [env.step(action)[:3] for action in WAY[1:]]


def _play_on(path, snapshot):
    env = make(path)
    env.restore(snapshot)
    return [env.step(action)[:3] for action in WAY[1:]]
