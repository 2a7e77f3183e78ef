from collections import Counter

import pytest

from agents.protocols import Conversation
from agents.rollout import collect, evaluate
from agents.scripted import ExpertPolicy, NeverGoBack, NoisyPolicy, RandomPolicy, listed_commands
from lmenvs import Action, Message
from tests.support.games import Dice, in_turn, rolls


def asked(*said: str, seed: tuple[int, ...] = (0,)) -> Conversation:
    """A conversation: observation, action, observation, ..."""
    roles = ("user", "assistant")
    messages = [Message(roles[i % 2], text) for i, text in enumerate(said)]
    return Conversation("c", (Message("system", "Play."), *messages), seed)


def choices(policy: NeverGoBack | RandomPolicy, *said: str, draws: int = 200) -> Counter[str]:
    return Counter(policy.act([asked(*said, seed=(7, i))])[0].text for i in range(draws))


def test_random_play_is_uniform_over_the_legal_actions() -> None:
    env = Dice()
    env.reset(seed=0)
    conversations = [
        Conversation("c", (Message("user", "Total 1."),), (i, 0, 0), env=env) for i in range(2000)
    ]
    counts = Counter(action.text for action in RandomPolicy().act(conversations))
    assert counts.keys() == {"roll", "stop"}
    assert abs(counts["roll"] - 1000) < 90  # four standard deviations


def test_random_play_without_an_environment_reads_the_listed_commands() -> None:
    said = "A room.\nCommands: go east, take coin"
    assert choices(RandomPolicy(), said).keys() == {"go east", "take coin"}


def test_random_play_without_any_list_says_random_text() -> None:
    counts = choices(RandomPolicy(), "What is it?", draws=50)
    assert len(counts) > 40 and max(map(len, counts)) <= 20


def test_the_expert_solves_what_it_knows() -> None:
    assert evaluate("lmenvs/Microwave-v0", "expert", episodes=3).success.mean == 1.0


def test_the_expert_needs_a_live_environment() -> None:
    with pytest.raises(ValueError, match="got a conversation without one"):
        ExpertPolicy().act([asked("Hello.")])


def test_noise_zero_is_the_base_and_noise_one_is_random() -> None:
    base = rolls(3)
    assert collect(Dice, NoisyPolicy(base, 0.0), range(5)) == collect(Dice, rolls(3), range(5))
    assert collect(Dice, NoisyPolicy(base, 1.0), range(5)) == collect(Dice, "random", range(5))


def test_noise_strikes_as_often_as_it_says() -> None:
    noisy = NoisyPolicy(in_turn("base"), 0.3)
    actions = noisy.act([asked("Commands: random", seed=(i,)) for i in range(3000)])
    share = sum(action == Action("random") for action in actions) / 3000
    assert share == pytest.approx(0.3, abs=0.035)  # four standard deviations


def test_noise_hands_version_and_forgetting_to_its_base() -> None:
    base = rolls(1)
    base.version = 5
    noisy = NoisyPolicy(base, 0.5)
    noisy.forget(["a"])
    assert noisy.version == 5 and base.forgotten == ["a"]


@pytest.mark.parametrize("noise", [-0.1, 1.5])
def test_noise_that_is_no_probability_is_refused(noise: float) -> None:
    with pytest.raises(ValueError, match="expected a probability"):
        NoisyPolicy(RandomPolicy(), noise)
    with pytest.raises(ValueError, match="expected a probability"):
        NeverGoBack(noise)


def test_listed_commands_are_those_of_the_last_such_line() -> None:
    assert listed_commands("Commands: a, b\nmore\nCommands: c d,e\nend") == ["c d", "e"]
    assert listed_commands("No Commands: here") == []


def test_never_go_back_takes_the_coin_when_it_is_there() -> None:
    assert choices(NeverGoBack(), "Commands: go east, take coin, go west").keys() == {"take coin"}


def test_never_go_back_walks_on() -> None:
    said = ("Commands: go east, go north", "go east", "Commands: go west, go south, go east")
    counts = choices(NeverGoBack(), *said)
    assert counts.keys() == {"go south", "go east"}
    assert abs(counts["go south"] - 100) < 30  # four standard deviations


def test_never_go_back_turns_round_in_a_dead_end_only() -> None:
    said = ("Commands: go east, go north", "go east", "Commands: go west")
    assert choices(NeverGoBack(), *said).keys() == {"go west"}


def test_a_move_that_was_not_on_offer_is_no_move() -> None:
    start = ("Commands: go north", "go north", "Commands: go south, go east", "go west")
    assert choices(NeverGoBack(), *start, "Commands: go south, go east").keys() == {"go east"}


def test_an_action_that_is_no_move_does_not_hide_the_last_one() -> None:
    said = ("Commands: go north", "go north", "Commands: take coin, go south, go east", "look")
    assert choices(NeverGoBack(), *said, "Commands: go south, go east").keys() == {"go east"}


def test_never_go_back_with_full_noise_says_any_listed_command() -> None:
    counts = choices(NeverGoBack(1.0), "Commands: go east, take coin, go west, drop it")
    assert counts.keys() == {"go east", "take coin", "go west", "drop it"}


def test_never_go_back_without_listed_commands_says_what_to_change() -> None:
    with pytest.raises(ValueError, match="admissible=true"):
        NeverGoBack().act([asked("A room with exits east and west.")])


def test_never_go_back_is_good_but_not_perfect_at_the_coin_collector() -> None:
    env = "lmenvs/TextWorldCoinCollector-v0?level=104&admissible=true&description=name&games=256"
    report = evaluate(env, NeverGoBack(), episodes=24, split="all")
    assert 0.4 <= report.success.mean <= 0.85
    assert report.invalid == 0.0
