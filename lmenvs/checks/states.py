"""Checks of hidden state: snapshots, noise, state keys, splits, leaks, the exact model."""

import inspect
import pickle

import numpy as np

from ..core import NoExactModel, Snapshot, TextEnv
from .subject import STRINGS, Subject, is_over, play, short, with_chance_of


def restores_its_snapshots(subject: Subject) -> None:
    """A snapshot leads to the same future here, in another copy, and after pickling."""
    env, other = subject.make(), subject.make()
    generator = np.random.default_rng(11)
    for seed in (0, 1, 2):
        env.reset(seed=seed)
        for _ in range(4):
            snapshot = env.snapshot()
            kept = pickle.dumps(snapshot)
            visible = env.observation, env.turn, env.state_key(), env.answer(), env.instructions
            actions = subject.walk(env, generator, 6)
            subject.require(pickle.loads(kept) == snapshot, "playing on changes a snapshot")
            futures: list[object] = []
            for copy, source in ((env, snapshot), (other, pickle.loads(kept)), (env, snapshot)):
                copy.restore(source)
                told = copy.observation, copy.turn, copy.state_key(), copy.answer()
                subject.require(
                    (*told, copy.instructions) == visible,
                    f"restored to {short(told)} instead of {short(visible)}",
                )
                subject.require(copy.snapshot() == snapshot, "restore() loses part of a snapshot")
                futures.append((play(copy, actions), copy.snapshot()))
            subject.require(
                futures[0] == futures[1] == futures[2],
                f"seed {seed}, turn {snapshot.turn}: the future after restore() differs",
            )
            env.restore(snapshot)
            subject.walk(env, generator, 2)
            if is_over(env):
                break


def keeps_the_task_under_fresh_noise(subject: Subject) -> None:
    """`noise` redraws chance, never the hidden task; equal noise, equal chance."""
    env = subject.make()
    for seed in (0, 5):
        told: list[object] = []
        for noise in (0, 1, 2):
            env.reset(seed=seed, options={"noise": noise})
            # what is hidden is the answer; where there is none, the state as a whole must stay
            told.append(env.answer() if env.answer() is not None else env.state_key())
        subject.require(
            told[0] == told[1] == told[2],
            f"seed {seed}: the hidden task depends on the noise: {short(told)}",
        )
        generator = np.random.default_rng(seed)
        subject.walk(env, generator, 2)
        if is_over(env):
            continue
        snapshot = env.snapshot()
        actions = subject.continuation(env, generator, 5)
        futures: list[object] = []
        for noise in (3, 4, 3):
            env.restore(snapshot, noise=noise)
            subject.require(
                (env.observation, env.turn, env.answer(), env.state_key())
                == _visible(env, snapshot),
                "restore(snapshot, noise=...) changes the state",
            )
            env.restore(snapshot, noise=noise)
            futures.append(play(env, actions))
        subject.require(
            futures[0] == futures[2], "restore with equal noise gives different futures"
        )


def _visible(env: TextEnv, snapshot: Snapshot) -> tuple[str, int, str | None, str]:
    env.restore(snapshot)
    return env.observation, env.turn, env.answer(), env.state_key()


def keys_what_matters(subject: Subject) -> None:
    """At the same turn, equal state keys have equal futures."""
    env = subject.make()
    generator = np.random.default_rng(17)
    seen: dict[tuple[int, str], Snapshot] = {}
    for walk in range(12):
        env.reset(seed=walk % 4)
        for _ in range(10):
            if is_over(env):
                break
            place = (env.turn, env.state_key())
            subject.require(isinstance(place[1], str), "state_key() is no text")
            here = env.snapshot()
            if place in seen:
                _compare_futures(subject, env, seen[place], here, generator)
                env.restore(here)
            seen.setdefault(place, here)
            env.step(subject.draw(env, generator))


def _compare_futures(
    subject: Subject,
    env: TextEnv,
    one: Snapshot,
    two: Snapshot,
    generator: np.random.Generator,
) -> None:
    env.restore(two)
    key, legal = env.state_key(), env.admissible_actions()
    actions = subject.continuation(env, generator, 6)
    after = play(env, actions)
    env.restore(with_chance_of(one, two))
    same = env.admissible_actions() == legal and play(env, actions) == after
    subject.require(same, f"equal state keys {short(key)} at turn {one.turn}, different futures")


def keeps_its_splits_apart(subject: Subject) -> None:
    """No task of the split "train" turns up in "test"."""
    if "split" not in inspect.signature(type(subject.make()).__init__).parameters:
        return
    keys: dict[str, set[str]] = {}
    for split in ("train", "test"):
        env = subject.make(split=split)
        keys[split] = set()
        for seed in range(12):
            env.reset(seed=seed)
            keys[split].add(env.state_key())
    both = keys["train"] & keys["test"]
    subject.require(not both, f"a task is in both splits: {short(sorted(both)[:1])}")


def hides_what_is_hidden(subject: Subject) -> None:
    """Hidden states that begin alike answer an action they do not understand alike."""
    env = subject.make(on_invalid="noop")
    told: dict[tuple[str, str, str], tuple[str, str]] = {}
    for seed in range(8):
        first, _ = env.reset(seed=seed)
        key, instructions, start = env.state_key(), env.instructions, env.snapshot()
        for text in STRINGS:
            env.restore(start)
            answer, _, _, _, info = env.step(text)
            if not info["valid"]:
                before = told.setdefault((instructions, first, text), (answer, key))
                subject.require(
                    answer == before[0],
                    f"the answer to {text!r} tells the hidden states {short(before[1])} and "
                    f"{short(key)} apart: {short(before[0])} and {short(answer)}",
                )


def has_a_true_model(subject: Subject) -> None:
    """Where there is an exact model, its probabilities sum to 1 and it holds what happens."""
    env = subject.make()
    try:
        starts = env.start_states()
    except NoExactModel as error:
        subject.require("\n" not in str(error), "start_states() says no in more than one line")
        return
    total = sum(probability for probability, _ in starts)
    subject.require(abs(total - 1.0) < 1e-9, f"start_states() sums to {total}")
    generator = np.random.default_rng(23)
    for _ in range(6):
        env.restore(starts[int(generator.integers(len(starts)))][1], noise=0)
        for _ in range(6):
            if is_over(env):
                break
            _check_model_here(subject, env, subject.draw(env, generator))


def _check_model_here(subject: Subject, env: TextEnv, action: str) -> None:
    before = env.snapshot()
    outcomes = env.outcomes(action)
    subject.require(env.snapshot() == before, f"outcomes({short(action)}) moves the environment")
    total = sum(probability for probability, *_ in outcomes)
    subject.require(abs(total - 1.0) < 1e-9, f"outcomes({short(action)}) sums to {total}")
    expected: set[tuple[str, float, bool, str]] = set()
    for _, after, reward, terminated in outcomes:
        subject.require(
            after.over == terminated and after.turn == before.turn + 1,
            f"outcomes({short(action)}): the snapshot after disagrees on the end or the turn",
        )
        env.restore(after)
        expected.add((after.observation, reward, terminated, env.state_key()))
    env.restore(before)
    text, reward, terminated, _, _ = env.step(action)
    happened = (text, reward, terminated, env.state_key())
    subject.require(
        happened in expected, f"outcomes({short(action)}) lacks what happened: {short(happened)}"
    )
