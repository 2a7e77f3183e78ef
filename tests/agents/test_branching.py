from typing import Any

import pytest

from agents.branching import branch, retry
from agents.rollout import Crash, collect
from lmenvs import Action, Episode
from tests.support.games import Dice, Scripted, dice_in_the_table, in_turn, rolls


def total(text: str) -> int:
    return int(text.removeprefix("Total ").removesuffix("."))


def totals(episode: Episode) -> list[int]:
    return [total(turn.observation) for turn in episode.turns]


def played(rolls_made: int = 4) -> Episode:
    return collect(Dice, rolls(rolls_made), [5])[0]


def test_a_branch_shares_the_turns_before_it_and_the_state_after_them() -> None:
    parent = played()
    for turn in range(5):
        (child,) = branch(Dice, in_turn("stop"), parent, [turn])
        assert child.turns[:turn] == parent.turns[:turn]
        assert child.turns[turn].observation == parent.turns[turn].observation
        assert child.turns[turn].state_key == parent.turns[turn].state_key
        assert child.parent == (parent.id, turn)
        assert (child.seed, child.env, child.split) == (parent.seed, parent.env, parent.split)
        distance = abs(int(str(child.turns[0].state_key).split()[0]) - totals(parent)[turn])
        assert child.total_reward == -distance


def test_the_same_actions_without_chance_end_as_the_parent_did() -> None:
    actions = ("open the microwave", "x", "put the pancake in the microwave", "close the microwave")
    (parent,) = collect("lmenvs/Microwave-v0", in_turn(*actions), [0])
    children = branch("lmenvs/Microwave-v0", in_turn(*actions), parent, range(4), 2)
    assert len(children) == 8
    assert {child.turns for child in children} == {parent.turns}
    assert all(child.success for child in children)


def test_every_continuation_draws_chance_of_its_own() -> None:
    parent = played(3)
    children = branch(Dice, rolls(12), parent, [0, 1, 2, 3], 6)
    ways = {
        tuple(b - a for a, b in zip(totals(c)[3:], totals(c)[4:], strict=False)) for c in children
    }
    assert len(ways) == len(children) == 24
    assert len({child.noise for child in children}) == 24
    assert len({child.id for child in children}) == 24


def test_continuations_average_to_the_true_value() -> None:
    parent = played(2)
    children = branch(Dice, rolls(3), parent, [2], 400)
    next_rolls = [totals(child)[3] - totals(child)[2] for child in children]
    assert sum(next_rolls) / 400 == pytest.approx(3.5, abs=0.25)  # three standard errors


def test_branches_come_in_the_order_episode_turn_continuation() -> None:
    parents = collect(Dice, rolls(2), [3, 1])
    children = branch(Dice, rolls(2), parents, lambda one: range(len(one.turns)), 2, width=3)
    assert [child.parent for child in children] == [
        (parent.id, turn) for parent in parents for turn in range(3) for _ in "ab"
    ]
    assert [child.group for child in children[:4]] == [f"{parents[0].id}/0"] * 2 + [
        f"{parents[0].id}/1"
    ] * 2
    assert children == branch(Dice, rolls(2), parents, [0, 1, 2], 2)
    assert children[1::2] == branch(Dice, rolls(2), parents, [0, 1, 2], 1, first=1)


def test_a_branch_tells_the_policy_where_it_left_its_parent() -> None:
    script = rolls(3)
    (parent,) = collect(Dice, script, [5], forget=False)
    first = {one.seed[-1]: one for one in script.asked}
    script.asked.clear()
    branch(Dice, script, parent, [2])
    begun = script.asked[0]
    assert begun.parent == (parent.id, 6)  # system, two turns of two messages, the observation
    assert begun.messages == first[2].messages
    assert begun.messages[2].action is parent.turns[0].action
    assert begun.seed != first[2].seed


def test_a_branch_of_a_branch_replays_with_its_ancestors() -> None:
    parent = played(4)
    (child,) = branch(Dice, rolls(6), parent, [2])
    (grandchild,) = branch(Dice, rolls(9), child, [5], ancestors=[parent])
    assert grandchild.turns[:5] == child.turns[:5]
    early = branch(Dice, rolls(9), grandchild, [1, 4, 7], ancestors=[child, parent])
    assert early[0].turns[:1] == parent.turns[:1]
    assert early[2].turns[:7] == grandchild.turns[:7]
    with pytest.raises(ValueError, match=r"goes back to Dice#5\.0.*ancestors="):
        branch(Dice, rolls(9), child, [5])


def test_an_episode_of_another_environment_does_not_replay() -> None:
    with pytest.raises(ValueError, match=r"Dice#5\.0 does not replay: turn 0 gives 'Total"):
        branch(lambda: Dice(sides=1000), rolls(2), played(), [3])


class Fragile(Dice):
    """Dice that break at every odd fork, and wherever 66 stood at the start."""

    def _begin(self, task: Any, options: Any) -> str:
        if self._seed == 66:
            raise RuntimeError("the cup fell over")
        return super()._begin(task, options)

    def restore(self, snapshot: Any, noise: int | None = None) -> None:
        super().restore(snapshot, noise)
        if noise is not None and noise % 2:
            raise RuntimeError("the cup fell over")


def test_branches_that_break_are_left_out_and_counted_where_that_is_asked() -> None:
    parent = played()
    whole = branch(Dice, in_turn("stop"), parent, [1, 2], 8)
    sound = [child.id for child in whole if child.noise % 2 == 0]
    assert 0 < len(sound) < 16
    crashes: list[Crash] = []
    got = branch(Fragile, in_turn("stop"), parent, [1, 2], 8, crashes=crashes, allowed=16)
    assert [child.id for child in got] == sound
    assert len(got) + len(crashes) == 16
    with pytest.raises(RuntimeError, match="the cup fell over"):
        branch(Fragile, in_turn("stop"), parent, [1, 2], 8)
    with pytest.raises(RuntimeError, match="1 episodes broke, expected at most 0"):
        branch(Fragile, in_turn("stop"), parent, [1, 2], 8, crashes=[], allowed=0)


def test_an_episode_that_breaks_while_it_is_played_again_has_no_branches() -> None:
    parents = collect(Dice, rolls(4), [5, 66])
    crashes: list[Crash] = []
    got = branch(Fragile, in_turn("stop"), parents, [0], 8, crashes=crashes, allowed=16)
    assert got and {child.seed for child in got} == {5}
    assert crashes[0].seed == 66 and crashes[0].error.startswith("played again: RuntimeError")
    with pytest.raises(RuntimeError, match="the cup fell over") as raised:
        branch(Fragile, in_turn("stop"), parents[1], [0])
    assert "was played again" in raised.value.__notes__[0]
    # what the caller can mend is no crash
    for wrong in ([9], [1]):
        with pytest.raises(ValueError, match=r"turn 9 to go on from|does not replay"):
            branch(lambda: Dice(sides=1000), rolls(2), played(), wrong, crashes=[])


def test_only_a_truncated_episode_goes_on_after_its_last_turn() -> None:
    (cut,) = collect(Dice, rolls(9), [0], max_turns=3)
    (longer,) = branch(Dice, rolls(5), cut, [3])
    assert longer.turns[:3] == cut.turns
    assert longer.turns[3].observation == cut.final_observation
    assert longer.terminated
    with pytest.raises(ValueError, match=r"turn 5 to go on from; expected 0 to 4"):
        branch(Dice, rolls(5), played(4), [5])


def test_the_turn_limit_counts_the_shared_turns() -> None:
    (child,) = branch(Dice, rolls(9), played(4), [3], max_turns=5)
    assert len(child.turns) == 5 and child.truncated


def test_branches_stay_in_the_half_of_their_parent() -> None:
    with dice_in_the_table() as name:
        (parent,) = collect(name, rolls(2), [0], split="test")
        (child,) = branch(name, rolls(2), parent, [1])
        assert (child.split, child.env) == ("test", name)
        (other,) = collect(name, rolls(2), [0], split="train")
        with pytest.raises(ValueError, match="one split, got test, train"):
            branch(name, rolls(2), [parent, other], [1])


def test_a_retry_meets_the_same_task_once_more() -> None:
    first = played(2)
    (second,) = retry(Dice, rolls(3), first)
    (third,) = retry(Dice, rolls(3), second, ancestors=[first])
    assert [one.attempt for one in (first, second, third)] == [0, 1, 2]
    assert second.parent == (first.id, 0) and third.parent == (second.id, 0)
    assert {str(one.turns[0].state_key) for one in (first, second, third)} == {
        str(first.turns[0].state_key)
    }
    assert totals(second)[1:] != totals(third)[1:]
    assert {one.group for one in (first, second, third)} == {"Dice#5"}


def test_a_reflection_stands_behind_the_instructions() -> None:
    first = played(2)
    script = rolls(3)
    (second,) = retry(Dice, script, first, reflect=lambda one: f"You lost {-one.total_reward:g}.")
    lesson = f"Say roll or stop.\n\nYou lost {-first.total_reward:g}."
    assert second.instructions == lesson
    assert script.asked[0].messages[0].content == lesson


def test_ids_sampled_behind_another_prompt_are_left_out_of_a_retry() -> None:
    sampled = Scripted(lambda one: Action("roll", (1,), (2,), (-0.1,)))
    (first,) = collect(Dice, sampled, [5], max_turns=3)
    plain, told = rolls(3), rolls(3)
    retry(Dice, plain, first, turn=2)
    retry(Dice, told, first, turn=2, reflect=lambda one: "Roll less.")
    assert plain.asked[0].messages[2].action == first.turns[0].action
    assert plain.asked[0].parent == (first.id, 6)
    assert told.asked[0].messages[2].content == "roll"
    assert told.asked[0].messages[2].action is None and told.asked[0].parent is None


def test_continuations_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="k=0 continuations; expected at least 1"):
        branch(Dice, rolls(1), played(), [0], 0)


def test_a_turn_that_is_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="every episode once, got one twice"):
        branch(Dice, rolls(1), played(), [1, 1])
