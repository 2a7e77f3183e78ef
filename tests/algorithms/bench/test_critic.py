"""Critics beside exact values, in miniature (torch)."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from agents import make_policy, tiny
from agents.chat import Chat
from agents.rollout import collect
from algorithms.bench.critic import cells, run
from algorithms.bench.critic.cells import DEFAULT, Setting, Variation
from algorithms.bench.critic.fit import Recipe, compare, judge, make_critic, targets
from algorithms.bench.critic.inputs import Layouts, known
from algorithms.bench.critic.truth import COMPASS, FullView, Houses
from algorithms.tables.critic import FILE, critic, critic_verdict
from lmenvs.exact import solve

MICROWAVE = "lmenvs/Microwave-v0"
HOUSE = "lmenvs/TextWorldCoinCollector-v0?admissible=true&description=name&level=104&games=1"
CROSSING = "-= Attic =-\nCommands: go east, go north, go south, go west, take coin"
TINY = Setting(
    MICROWAVE,
    "full view",
    noise=1.0,
    episodes=8,
    hidden=16,
    layers=1,
    recipe=Recipe(shown="turn", steps=2, batch_size=4),
)


@pytest.fixture(scope="module")
def microwave():
    """(episodes of uniform play with their values at discount 1/2, their chat)."""
    episodes = collect(MICROWAVE, make_policy("random"), list(range(12)))
    chat = Chat(tiny.make_tokenizer(run.texts(episodes)), 512)
    return known(episodes, FullView(MICROWAVE, 1.0, 0.5), chat), chat


def test_the_values_of_uniform_play_in_the_microwave_are_those_worked_out_by_hand(microwave):
    found = {
        (turn.state_key, number, action): (q, moves.value)
        for one in microwave[0]
        for number, (turn, moves) in enumerate(zip(one.episode.turns, one.moves_T, strict=True))
        for action, q in zip(moves.actions, moves.q_A, strict=True)
    }
    # in the last turn closing wins and opening loses; a turn earlier opening leaves half of their 0
    assert found["2", 4, "close the microwave"] == (1.0, 0.0)
    assert found["2", 4, "open the microwave"] == (-1.0, 0.0)
    assert found["2", 3, "open the microwave"] == (0.0, 0.5)
    assert found["0", 4, "open the microwave"] == (-1.0, -1.0)


def test_a_noisy_expert_has_the_value_that_its_chances_give():
    truth = FullView("lmenvs/Maze-v0?layout=u", 0.4, 0.9)
    episodes = collect("lmenvs/Maze-v0?layout=u", make_policy("expert?noise=0.4"), [1, 2])
    first = truth.moves(episodes[0])[0]
    assert sorted(first.chances_A) == pytest.approx([0.1, 0.1, 0.1, 0.7])
    assert first.value == pytest.approx(
        truth.solution.value(str(episodes[0].turns[0].state_key), 0)
    )


def test_a_house_is_worth_what_the_exact_solver_says():
    houses = Houses(HOUSE, 1.0, 0.9)
    exact = solve(HOUSE, 0.9, policy="uniform").start_value
    assert houses.v_THRB[0, :, 0, 4] == pytest.approx(np.full(8, exact))


def test_what_a_player_knows_of_a_house_is_a_mean_over_the_houses_that_look_like_it():
    houses = Houses(HOUSE, 0.5, 1.0)
    [episode] = collect(f"{HOUSE}&relabel=true", make_policy("script:never-go-back"), [3])
    moves_T = houses.moves(episode)
    for number, (turn, moves) in enumerate(zip(episode.turns, moves_T, strict=True)):
        assert moves.chances_A.sum() == pytest.approx(1.0)
        assert moves.q_A.max() <= 1.0
        if "take coin" in moves.actions:
            taken = moves.actions.index("take coin")
            assert moves.q_A[taken] == 1.0
            assert moves.chances_A[taken] > 0.5
        following = moves_T[number + 1].value if number + 1 < len(moves_T) else turn.reward
        if number == 0:
            continue
        # behind the first move nothing of this one house is unknown but which way it is mirrored
        assert abs(moves.q_A[moves.actions.index(turn.action.text)] - following) < 0.5


def test_houses_of_another_pool_are_refused():
    houses = Houses(HOUSE, 0.5, 1.0)
    [episode] = collect(HOUSE, make_policy("script:never-go-back"), [3])
    first = replace(episode.turns[0], observation=CROSSING)
    with pytest.raises(ValueError, match="no house of the pool"):
        houses.moves(replace(episode, turns=(first,)))


def test_the_exact_critic_explains_everything_and_a_constant_one_nothing(microwave):
    played, _ = microwave
    moves_N = [moves for one in played for moves in one.moves_T]
    v_N = np.array([moves.value for moves in moves_N])
    q_NA = np.zeros((len(moves_N), 2))
    for q_A, moves in zip(q_NA, moves_N, strict=True):
        q_A[: len(moves.q_A)] = moves.q_A
    exact = compare(v_N, q_NA, played)
    assert exact["advantage"] == exact["value"] == exact["best"] == exact["ratio"] == 1.0
    constant = compare(np.ones(len(v_N)), np.ones(q_NA.shape), played)
    assert constant["advantage"] == pytest.approx(0.0)
    assert constant["value"] == pytest.approx(0.0)


def judged(critic, given):
    values, action_values = judge(critic, given)
    assert action_values is not None
    return values, action_values


@pytest.mark.parametrize("shown", ["turn", "episode"])
@pytest.mark.parametrize("apart", [False, True])
def test_a_turn_is_judged_alike_whatever_it_is_batched_with(microwave, shown, apart):
    played, chat = microwave
    model = tiny.make_model(chat.tokenizer, hidden=16, layers=1)
    torch.manual_seed(0)
    recipe = Recipe(shown=shown, apart=apart)
    critic = make_critic(model, played, recipe, 0.5)
    for parameter in critic.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    layouts = Layouts(chat, shown)
    together = judged(critic, layouts.lay_out(played))
    alone = [judged(critic, layouts.lay_out([one])) for one in played]
    torch.testing.assert_close(together[0], torch.cat([v for v, _ in alone]), atol=1e-4, rtol=0)
    width = min(q.shape[1] for _, q in alone)
    both = together[1][:, :width], torch.cat([q[:, :width] for _, q in alone])
    real = torch.tensor([len(m.actions) >= width for one in played for m in one.moves_T])
    torch.testing.assert_close(both[0][real], both[1][real], atol=1e-4, rtol=0)


def heads(microwave, **fields):
    """(the targets for Q and V [N], the judged V [N] and Q [N, A], the inputs) of a new critic."""
    played, chat = microwave
    recipe = Recipe(heads=1, **fields)
    critic = make_critic(tiny.make_model(chat.tokenizer, hidden=16, layers=1), played, recipe, 0.5)
    for parameter in critic.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    given = Layouts(chat, "turn").lay_out(played)
    q, v = targets(critic, given, played, recipe, 0.5, False, np.random.default_rng(0))
    said_v, said_q = judged(critic, given)
    return q[:, 0], v[:, 0], said_v[:, 0], said_q[..., 0], given


def test_q_is_fitted_to_the_reward_and_half_of_what_follows_and_v_to_the_mean_of_q(microwave):
    torch.manual_seed(0)
    q, v, said_v, said_q, given = heads(microwave)
    rewards = np.concatenate([one.rewards_T for one in microwave[0]])
    ends = np.cumsum([len(one.rewards_T) for one in microwave[0]]) - 1
    after = np.append(said_v.numpy()[1:], 0.0)
    after[ends] = 0.0
    assert q.numpy() == pytest.approx(rewards + 0.5 * after, abs=1e-5)
    torch.testing.assert_close(v, (given.chances_NA * said_q).sum(1))


def test_with_lambda_1_both_are_fitted_to_the_return(microwave):
    q, v, *_ = heads(microwave, q_lam=1.0, v_lam=1.0)
    played = microwave[0]
    first = np.cumsum([0, *[len(one.rewards_T) for one in played]])[:-1]
    returns = [one.rewards_T[-1] * 0.5 ** (len(one.rewards_T) - 1) for one in played]
    assert q[first].tolist() == pytest.approx(returns)
    torch.testing.assert_close(q, v)


@pytest.fixture
def one_task(monkeypatch):
    monkeypatch.setattr(cells, "TASKS", {"maze": {DEFAULT: Variation(TINY, (0,))}})
    monkeypatch.setattr(run, "HELD_OUT", 4)


def test_a_cell_that_the_file_has_is_not_run_again(one_task, tmp_path, monkeypatch):
    file, chosen = tmp_path / "critic.json", list(cells.chosen(()))
    first = run.measure(file, chosen, "lmenvs bench critic")
    monkeypatch.setattr(run, "run_cell", None)
    again = run.measure(file, chosen, "lmenvs bench critic")
    assert list(first) == list(again) == ["maze / default / 0"]
    changed = [replace(chosen[0], setting=chosen[0].setting.with_(steps=3))]
    with pytest.raises(ValueError, match="another recipe"):
        run.measure(file, changed, "lmenvs bench critic")


def test_cells_are_chosen_by_name_or_by_its_beginning():
    everything = list(cells.chosen(()))
    assert {cell.name for cell in cells.chosen(["maze"])} < {cell.name for cell in everything}
    assert len(everything) == len({cell.name for cell in everything}) <= 60
    with pytest.raises(ValueError, match="no cell 'labyrinth'"):
        list(cells.chosen(["labyrinth"]))


def test_the_table_shows_each_critic_and_the_verdict_what_is_wanted(one_task, tmp_path):
    file = tmp_path / FILE
    run.measure(file, list(cells.chosen(())), "lmenvs bench critic")
    record = json.loads(file.read_text())
    cell = record["cells"]["maze / default / 0"]
    assert f"| {cell['advantage']:z.2f} |" in critic(tmp_path)
    assert "wanted 0.9" in critic_verdict(tmp_path)
    assert critic(tmp_path / "elsewhere") == critic_verdict(tmp_path / "elsewhere") == ""


def test_compass_directions_lie_opposite_each_other_two_steps_apart():
    assert [COMPASS[(i + 2) % 4] for i in range(4)] == ["west", "south", "east", "north"]
