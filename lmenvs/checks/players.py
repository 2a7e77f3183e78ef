"""Checks of what players and trainers rely on: actions, expert, progress, documentation, spec."""

import inspect
import json

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec

from ..core import TextEnv
from .subject import Subject, is_over, short

HEADINGS = (
    "Description",
    "Actions",
    "Observations",
    "Rewards",
    "Episode end",
    "Arguments",
    "Capability",
    "Source",
    "Version history",
)
EXPERT_TURNS = 400
TRIED = 12  # admissible actions tried in one state


def lists_actions_that_are_valid(subject: Subject) -> None:
    """Every admissible action is valid; a state that goes on lists some, or None."""
    env = subject.make()
    generator = np.random.default_rng(29)
    for seed in (0, 1):
        env.reset(seed=seed)
        for _ in range(8):
            legal = env.admissible_actions()
            if legal is None or is_over(env):
                break
            subject.require(
                len(legal) > 0 and len(set(legal)) == len(legal),
                f"admissible_actions() is empty or repeats itself: {short(legal)}",
            )
            here = env.snapshot()
            picks = generator.permutation(len(legal))[:TRIED]
            for pick in picks:
                _, _, _, _, info = env.step(legal[int(pick)])
                subject.require(
                    info["valid"],
                    f"the admissible action {short(legal[int(pick)])} is answered as invalid "
                    f"({info['error']})",
                )
                env.restore(here)
            env.step(legal[int(picks[0])])


def has_an_expert_that_plays(subject: Subject) -> None:
    """The expert's actions are valid to the end; asking it, or anything else, moves nothing."""
    env = subject.make()
    for seed in (0, 1, 2):
        env.reset(seed=seed)
        for _ in range(EXPERT_TURNS):
            before = env.snapshot()
            action = env.expert_action()
            for ask in (env.admissible_actions, env.progress, env.answer, env.state_key):
                ask()
            subject.require(
                env.snapshot() == before,
                "expert_action(), admissible_actions(), progress(), answer() or state_key() "
                "moves the environment",
            )
            subject.require(
                action == env.expert_action(), "expert_action() answers differently twice"
            )
            _, _, terminated, _, info = env.step(action)
            subject.require(info["valid"], f"the expert's {short(action)} is invalid")
            if terminated:
                break


def reports_true_progress(subject: Subject) -> None:
    """Progress stays in [0, 1] and is 1.0 exactly at success."""
    env = subject.make()
    generator = np.random.default_rng(31)
    for episode in range(6):
        env.reset(seed=episode // 2)
        success, turns = False, 0
        while turns < 100:
            progress = env.progress()
            subject.require(0.0 <= progress <= 1.0, f"progress() is {progress}")
            subject.require(
                (progress == 1.0) == success,
                f"progress() is {progress} with success={success}; 1.0 belongs to success alone",
            )
            if is_over(env):
                break
            action = env.expert_action() if episode % 2 else subject.draw(env, generator)
            _, _, _, _, info = env.step(action)
            success, turns = bool(info.get("success", False)), turns + 1


def is_documented(subject: Subject) -> None:
    """Instructions for the player, a docstring with the fixed headings, tools that are JSON."""
    env = subject.make()
    env.reset(seed=0)
    subject.require(
        isinstance(env.instructions, str) and bool(env.instructions.strip()),
        "instructions are empty; they are the system prompt: task, action format, limits",
    )
    text = inspect.getdoc(type(env)) or ""
    own = text if text != inspect.getdoc(TextEnv) else ""
    missing = [heading for heading in HEADINGS if f"{heading}:" not in own]
    subject.require(not missing, f"the class's docstring lacks the headings {missing}")
    json.dumps(env.tools)


def has_a_spec_that_serialises(subject: Subject) -> None:
    """A registered environment's spec survives JSON, and what comes back makes the same one."""
    env = subject.make()
    if env.spec is None:
        return
    subject.require(
        isinstance(env.spec.entry_point, str),
        "the entry point is no text 'module:Class', so the spec does not serialise",
    )
    spec = EnvSpec.from_json(env.spec.to_json())
    subject.require(
        spec.kwargs == env.spec.kwargs, f"kwargs {short(env.spec.kwargs)} change in JSON"
    )
    again = gymnasium.make(spec)
    subject.require(
        again.reset(seed=4) == env.reset(seed=4),
        "the environment made from the serialised spec begins differently",
    )
    again.close()
