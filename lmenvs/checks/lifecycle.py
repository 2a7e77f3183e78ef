"""Checks of reset and step: Gymnasium's own, any string, limits, infos, seeds, side effects."""

import json
import math
import os
import random
import sys
import threading
import warnings
from typing import Any, get_args

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env as gymnasium_check_env

from ..core import ERRORS, OnInvalid, TextEnv
from ..outcome import INFO_KEYS
from .subject import STRINGS, Subject, has_begun, is_over, play, short

LONG = 300  # turns after which an environment without a limit has played long enough
_WRITES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "shutil.copyfile"}
_NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.sendto"}


def passes_gymnasiums_checker(subject: Subject) -> None:
    """Gymnasium's `check_env` finds nothing to complain or to warn about."""
    env = subject.make()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gymnasium_check_env(env, skip_render_check=env.spec is None)
    env.close()
    env = subject.make(render_mode="ansi")
    observation, _ = env.reset(seed=0)
    subject.require(env.render() == observation, "render() in mode 'ansi' is the last observation")


def refuses_to_play_outside_an_episode(subject: Subject) -> None:
    """A step before reset or after the end raises ResetNeeded, one without text TypeError."""
    env = subject.make()
    if not has_begun(env):  # a copy of an environment in mid-episode has
        try:
            env.step("")
        except ResetNeeded:
            pass
        else:
            subject.require(False, "step() before reset() must raise gymnasium.error.ResetNeeded")
    env.reset(seed=0)
    try:
        env.step(3)  # type: ignore[arg-type]
    except TypeError:
        pass
    else:
        subject.require(False, "step(3) must raise TypeError: an action is text")
    if _play_to_the_end(subject, env):
        try:
            env.step("")
        except ResetNeeded:
            return
        subject.require(False, "step() after the end must raise gymnasium.error.ResetNeeded")


def _play_to_the_end(subject: Subject, env: TextEnv) -> bool:
    for _ in range(LONG):
        if is_over(env):
            return True
        env.step(env.expert_action())
    return is_over(env)


def takes_any_string(subject: Subject) -> None:
    """Every text is answered; an invalid one is reported and costs what `on_invalid` says."""
    for mode in get_args(OnInvalid):
        env = subject.make(on_invalid=mode)
        env.reset(seed=0)
        for text in (*STRINGS, *subject.actions):
            if is_over(env):
                env.reset(seed=0)
            observation, reward, terminated, truncated, info = env.step(text)
            said = f"on_invalid={mode!r}, action {short(text)}"
            subject.require(isinstance(observation, str), f"{said}: the observation is no text")
            subject.require(math.isfinite(reward), f"{said}: reward {reward}")
            subject.require(not truncated, f"{said}: truncated; a rule of the task terminates")
            _check_validity(subject, said, info)
            if not info["valid"]:
                _check_cost(subject, env, mode, said, reward, terminated)


def _check_validity(subject: Subject, said: str, info: dict[str, Any]) -> None:
    valid, error = info.get("valid"), info.get("error")
    subject.require(valid in (True, False), f"{said}: info['valid'] is {valid!r}, expected a bool")
    subject.require(
        (error is None) if valid else (error in ERRORS),
        f"{said}: valid={valid} with error {error!r}; expected None or one of {sorted(ERRORS)}",
    )


def _check_cost(
    subject: Subject, env: TextEnv, mode: str, said: str, reward: float, terminated: bool
) -> None:
    at_limit = env.turn_limit is not None and env.turn >= env.turn_limit
    if mode == "terminate":
        subject.require(terminated, f"{said}: invalid, but the episode goes on")
    elif not at_limit:
        subject.require(not terminated, f"{said}: invalid, and the episode ends before its limit")
    if mode == "noop" and not at_limit:
        subject.require(reward == 0.0, f"{said}: invalid, and it costs {reward}; noop is free")


def ends_at_its_turn_limit(subject: Subject) -> None:
    """The limit is a rule: terminated on that turn at the latest, truncated never."""
    env = subject.make(on_invalid="noop")
    limit = env.turn_limit
    subject.require(
        limit is None or (isinstance(limit, int) and limit > 0),
        f"turn_limit is {limit!r}; expected None or a positive int",
    )
    if limit is None:
        return
    for text in ("", "\x00"):
        env.reset(seed=1)
        for turn in range(1, limit + 1):
            _, _, terminated, truncated, info = env.step(text)
            subject.require(not truncated, f"truncated at turn {turn}; the task's limit terminates")
            subject.require(env.turn == turn, f"env.turn is {env.turn} after {turn} turns")
            if terminated:
                subject.require("success" in info, f"no 'success' in the info of turn {turn}")
                break
        subject.require(is_over(env), f"goes on after turn_limit={limit} turns")


def gives_documented_infos(subject: Subject) -> None:
    """Infos are new dicts of documented keys, JSON-able, with `success` on the last turn only."""
    for admissible_info in (False, True):
        env = subject.make(admissible_info=admissible_info)
        generator = np.random.default_rng(3)
        infos = [env.reset(seed=2)[1]]
        terminated, instructions = False, env.instructions
        while not terminated and len(infos) < 30:
            _, _, terminated, _, info = env.step(subject.draw(env, generator))
            infos.append(info)
            subject.require(
                env.instructions == instructions, "the instructions change within an episode"
            )
            subject.require(
                ("success" in info) == terminated,
                f"'success' belongs into the last info only, got {sorted(info)} at {terminated=}",
            )
            if admissible_info:
                listed = None if terminated else env.admissible_actions()
                subject.require(
                    "admissible_actions" in info and info["admissible_actions"] == listed,
                    "info['admissible_actions'] is not what admissible_actions() returns",
                )
        subject.require(len({id(info) for info in infos}) == len(infos), "an info dict is reused")
        unknown = sorted({key for info in infos for key in info} - INFO_KEYS)
        subject.require(not unknown, f"undocumented info keys {unknown}; core.py lists them")
        for info in infos:
            json.dumps(info)


def is_determined_by_its_seed(subject: Subject) -> None:
    """Same seed, same episode, in any copy; later resets continue the same series."""
    first, second = subject.make(), subject.make()
    for seed in (0, 7):
        generator = np.random.default_rng(seed)
        for count in range(3):
            given = seed if count == 0 else None
            starts = [env.reset(seed=given) for env in (first, second)]
            subject.require(
                starts[0] == starts[1] and first.state_key() == second.state_key(),
                f"reset number {count} after seed {seed} differs between two copies",
            )
            actions = subject.continuation(first, generator, 12)
            subject.require(
                play(first, actions) == play(second, actions),
                f"seed {seed}, reset {count}: the same actions are answered differently",
            )
    first.reset(seed=0)
    key = first.state_key()
    first.reset()
    first.reset(seed=0)
    subject.require(first.state_key() == key, "reset(seed=0) does not return to the task of seed 0")


def leaves_global_randomness_alone(subject: Subject) -> None:
    """Neither `random` nor `numpy.random` is read or seeded."""
    before = random.getstate(), repr(np.random.get_state())
    env = subject.make()
    env.reset(seed=0)
    play(env, subject.continuation(env, np.random.default_rng(0), 8))
    after = random.getstate(), repr(np.random.get_state())
    subject.require(before == after, "it uses a global random generator; use self.np_random")


class _Watch:
    """Notes file writes and network use of this thread while it is on; audit hooks are for ever."""

    def __init__(self):
        self.thread: int | None = None
        self.seen: list[str] = []
        self.installed = False

    def start(self) -> None:
        if not self.installed:
            sys.addaudithook(self.note)
            self.installed = True
        self.seen.clear()
        self.thread = threading.get_ident()

    def stop(self) -> None:
        self.thread = None

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.thread is None or self.thread != threading.get_ident():
            return
        if event in _NETWORK or event in _WRITES:
            self.seen.append(f"{event} {arguments[0]!r}")
        elif event == "open" and isinstance(arguments[0], str | bytes):
            path, mode, flags = arguments
            writes = set(mode or "") & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes and "__pycache__" not in str(path):  # Python keeps what it imports lazily
                self.seen.append(f"open {path!r} to write")


_watch = _Watch()


def touches_nothing_outside(subject: Subject) -> None:
    """No file is written and no connection is made at construction or in a step."""
    _watch.start()
    try:
        env = subject.make()
    finally:
        _watch.stop()
    made = list(_watch.seen)
    env.reset(seed=0)  # a first use may fill a cache
    actions = subject.continuation(env, np.random.default_rng(1), 8)
    _watch.start()
    try:
        play(env, actions)
    finally:
        _watch.stop()
    subject.require(not made, f"construction touches the outside: {made[:1]}")
    subject.require(not _watch.seen, f"a step touches the outside: {_watch.seen[:1]}")
