import pickle

import gymnasium
import numpy as np
import pytest

from lmenvs.envs.textworld import plan, play, session
from lmenvs.envs.textworld.play import PLAYER
from tests.lmenvs.envs.textworld.playing import make, walk


def test_a_room_has_one_state_key_however_it_was_reached():
    env = make(turn_limit=10_000)
    for seed in range(4):
        env.reset(seed=seed)
        keys = {env._state.room: env.state_key()}
        generator = np.random.default_rng(seed)
        while env.progress() < 1.0:
            env.step(str(generator.choice(env.admissible_actions() or ())))
            room = env._state.room + env._state.won * " with the coin"
            assert keys.setdefault(room, env.state_key()) == env.state_key()
        assert len(keys) == len(set(keys.values())) >= 5


def test_a_snapshot_returns_to_the_same_future_in_another_copy():
    env, other = make(relabel=True), make(relabel=True)
    for seed in range(6):
        generator = np.random.default_rng(seed)
        env.reset(seed=seed)
        walk(env, generator, 3)
        kept = pickle.dumps(env.snapshot())
        future = walk(env, np.random.default_rng(99), 9)
        for copy in (env, other):
            copy.restore(pickle.loads(kept))
            assert pickle.dumps(copy.snapshot()) == kept
            assert walk(copy, np.random.default_rng(99), 9) == future


def test_the_memory_of_answers_changes_nothing(empty_cache):
    env = make(admissible=True)
    told = []
    for forget in (True, False, True):
        if forget:
            PLAYER.forget()
        episodes = []
        for seed in range(6):
            text, _ = env.reset(seed=seed)
            episodes.append((text, walk(env, np.random.default_rng(seed), 12)))
        told.append(episodes)
    assert told[0] == told[1] == told[2]


def test_known_games_need_no_interpreter():
    env = make()
    misses = 0
    for _ in range(2):
        misses = PLAYER.misses
        for seed in range(4):
            env.reset(seed=seed)
            walk(env, np.random.default_rng(seed), 12)
    assert PLAYER.misses == misses


def test_what_is_remembered_is_bounded_and_what_is_forgotten_is_asked_again(monkeypatch):
    told = []
    for most in (play.REMEMBERED, 5):
        monkeypatch.setattr(play, "REMEMBERED", most)
        monkeypatch.setattr(plan, "REMEMBERED", most)
        PLAYER.forget()
        env = make(turn_limit=100)
        for seed in range(8):
            env.reset(seed=seed)
            told.append((seed, walk(env, np.random.default_rng(seed), 20)))
    assert told[:8] == told[8:]
    for table in (PLAYER._answers, PLAYER._starts, plan._SEEN):
        assert 0 < len(table) <= 5


def test_members_of_a_group_have_interpreters_of_their_own():
    PLAYER.forget()
    group = [make(turn_limit=100, games=1) for _ in range(4)]
    for env in group:
        env.reset(seed=0)
    for turn in range(30):
        for member, env in enumerate(group):
            actions = env.admissible_actions() or ["look"]
            if "take coin" in actions:
                actions.remove("take coin")
            env.step(actions[(turn * member) % len(actions)])
    for number, env in enumerate(group):
        env.step(f"examine nothing {number}")  # nobody has heard that yet
    standing = {session.prefix for session in PLAYER._sessions}
    assert {env._commands for env in group} <= standing


def test_an_interrupted_interpreter_is_given_up(monkeypatch):
    PLAYER.forget()
    env, plain = make(), make()
    env.reset(seed=0)
    plain.reset(seed=0)
    with monkeypatch.context() as patch:

        def press_ctrl_c(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(session, "read_reply", press_ctrl_c)  # the interpreter has moved by then
        with pytest.raises(KeyboardInterrupt):
            env.step(env.expert_action())
    assert not PLAYER._sessions
    again, _ = plain.reset(seed=0)
    assert env.reset(seed=0)[0] == again
    room = again[again.index("-=") :]
    assert env.step("look")[0] in room


def test_the_last_environment_to_close_frees_the_interpreters():
    for user in list(PLAYER.users):
        PLAYER.leave(user)
    PLAYER.forget()
    one, two = make(), make()
    one.reset(seed=0)
    two.reset(seed=1)
    assert PLAYER._sessions
    one.close()
    assert PLAYER._sessions
    two.close()
    assert not PLAYER._sessions
    two.reset(seed=1)  # closing is not for ever
    assert two.step(two.expert_action())[4]["valid"]


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_a_vector_of_processes_plays_what_one_process_plays(context):
    make().reset(seed=0)  # a live interpreter in the parent must not be touched by a fork
    name = "lmenvs/TextWorldCoinCollector-v0"
    told = []
    for mode, vector_kwargs in (("async", {"context": context}), ("sync", {})):
        envs = gymnasium.make_vec(
            name, 2, vectorization_mode=mode, vector_kwargs=vector_kwargs, level=104, games=16
        )
        texts = [tuple(envs.reset(seed=5)[0])]
        for action in ("go east", "go north", "go west", "go south", "look", "é\0"):
            text, reward, *_ = envs.step((action, action))
            texts.append((tuple(text), tuple(reward)))
        envs.close()
        told.append(texts)
    assert told[0] == told[1]
