import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmenvs.envs.textworld.commands import LONGEST, META_VERBS, PLAY_VERBS, read_command
from lmenvs.envs.textworld.engine import read_reply, split_start

KNOWN = {"go east": "go east", "open type g safe": "open type G safe"}


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ("go east", "go east"),
        ("  Go   EAST. ", "go east"),
        ("go east\n", "go east"),
        ("\n\tgo east", "go east"),
        ("**Go east.**", "go east"),
        ("`go east`", "go east"),
        ('"look"', "look"),
        ("go east!", "go east"),
        ("OPEN type g safe", "open type G safe"),
        ("open type 9 box", "open type 9 box"),
        ("look", "look"),
        ("n", "n"),
        ("put egg on table", "put egg on table"),
        ("a" * LONGEST, None),
    ],
)
def test_a_plain_command_reaches_the_interpreter_in_the_games_spelling(action, text):
    command = read_command(action, KNOWN, PLAY_VERBS)
    assert (command.text or None) == text
    assert (command.error is None) == (text is not None)


@pytest.mark.parametrize(
    "action",
    [
        "look\nlook",
        "\n**look\n**",
        "look\rlook",
        "look\x00",
        "\x00",
        "\ud800",
        "\x1b[2J",
        "lo\u2028ok",
        "lo\tok",
        "\x7f",
        "a" * (LONGEST + 1),
        "go east" + " " * 500,
        "\u200b",
    ],
)
def test_text_that_is_not_one_printable_line_is_unsafe(action):
    command = read_command(action, KNOWN, PLAY_VERBS)
    assert command.error == "unsafe"
    assert command.text == ""
    assert command.reply


@pytest.mark.parametrize(
    "action",
    [
        "",
        "   ",
        "\n",
        "...",
        "''",
        "dance",
        "é",
        "上へ",
        "🙂",
        "go east. go west",
        "go east then go west",
        "take egg, open box",
        "take all",
        "take it",
        "take egg and box",
        'say "look"',
        "go east; n",
        "tw-trace-actions",
        "tw-print player id",
        "restrict commands",
        "transcripts",
        "\\s",
        "take \\egg",
    ],
)
def test_what_is_not_one_command_of_the_game_is_malformed(action):
    for verbs in (PLAY_VERBS, None) if action.split(" ")[0] not in ("dance",) else (PLAY_VERBS,):
        command = read_command(action, KNOWN, verbs)
        assert (command.error, command.text) == ("malformed", "")


@pytest.mark.parametrize("verb", sorted(META_VERBS))
@pytest.mark.parametrize("verbs", [PLAY_VERBS, None], ids=["rules known", "rules unknown"])
def test_meta_verbs_never_pass(verb, verbs):
    for action in (verb, verb.upper(), f" {verb}.", f"{verb} east"):
        assert read_command(action, KNOWN, verbs).error == "malformed"


@given(st.text(st.characters(codec=None), max_size=LONGEST + 20))
def test_only_short_printable_ascii_lines_pass(action):
    command = read_command(action, KNOWN, None)
    assert (command.text == "") == (command.error is not None)
    assert command.text.isascii() and command.text.isprintable() and len(command.text) <= LONGEST


PAD = " " * 120


def test_a_reply_loses_pad_status_line_trace_and_prompt():
    raw = (
        "\n[going south]\n\n-= Lounge =-\nA lounge.\n\n\n\nAn exit.\n\n"
        "[going south - succeeded]\n\n"
        f"<score>\n0\n</score><moves>\n2\n</moves>\n>{PAD}-= Lounge =-0/3"
    )
    reply = read_reply(raw)
    assert reply.text == "-= Lounge =-\nA lounge.\n\nAn exit."
    assert (reply.title, reply.score, reply.events) == ("Lounge", 0, ("going south",))
    assert (reply.waits, reply.won, reply.lost) == (False, False, False)


@pytest.mark.parametrize(("end", "won"), [("The End", True), ("You lost!", False)])
def test_the_end_is_read_and_its_turn_count_dropped(end, won):
    raw = (
        f"\nTaken.\n\n\n   *** {end} ***\n\nYou scored 1 out of a possible 1, in 7 turns.\n\n\n"
        f"Would you like to RESTART, RESTORE a saved game, QUIT or UNDO the last command?\n>{PAD} x"
    )
    reply = read_reply(raw)
    assert reply.text == f"Taken.\n\n*** {end} ***"
    assert (reply.won, reply.lost) == (won, not won)


def test_a_question_of_the_interpreter_is_noticed():
    assert read_reply(f"\nAre you sure you want to quit? {PAD}-= Bar =-0/1").waits


def test_stars_in_the_middle_of_a_game_do_not_end_it():
    assert read_reply("\n*** You hear a bell ***\n\n>").ending is None


def test_the_start_is_split_into_introduction_and_room():
    assert split_start("Do this.\n\n-= Bar =-\nA bar.") == ("Do this.", "-= Bar =-\nA bar.")
