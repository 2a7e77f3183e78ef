"""check_env: the contract that every environment passes, for ours and for yours.

    from lmenvs.testing import check_env

    def test_my_environment_keeps_the_contract():
        check_env(MyEnv())

It needs no table row and no registration; what cannot be checked without them is passed over.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium

from .checks import lifecycle, players, states
from .checks.subject import Subject
from .core import TextEnv
from .registration import make

CHECKS: tuple[Callable[[Subject], None], ...] = (
    players.is_documented,
    lifecycle.refuses_to_play_outside_an_episode,
    lifecycle.is_determined_by_its_seed,
    lifecycle.takes_any_string,
    lifecycle.ends_at_its_turn_limit,
    lifecycle.gives_documented_infos,
    lifecycle.passes_gymnasiums_checker,
    lifecycle.leaves_global_randomness_alone,
    lifecycle.touches_nothing_outside,
    states.restores_its_snapshots,
    states.keeps_the_task_under_fresh_noise,
    states.keys_what_matters,
    states.keeps_its_splits_apart,
    states.hides_what_is_hidden,
    states.has_a_true_model,
    players.lists_actions_that_are_valid,
    players.has_an_expert_that_plays,
    players.reports_true_progress,
    players.has_a_spec_that_serialises,
)


def check_env(env: gymnasium.Env[str, str] | str, *, actions: Sequence[str] = ()) -> None:
    """Check that an environment keeps the contract of `TextEnv`.

    Args:
        env: The environment, wrapped or not, or the string that names it. It is copied, not played.
        actions: Texts worth trying besides the admissible actions, the expert's and the hostile
            ones that are built in.

    Raises:
        AssertionError: at the first clause that is broken, with one line that says which and how.
        TypeError: for something that is no `TextEnv`.
    """
    subject = _subject(env, tuple(actions))
    for check in CHECKS:
        try:
            check(subject)
        except AssertionError as error:
            if str(error).startswith(f"{subject.name}: "):
                raise
            raise AssertionError(_line(subject, check, error)) from error
        except Exception as error:  # whatever an environment raises, the clause is what broke
            raise AssertionError(_line(subject, check, error)) from error


def _line(subject: Subject, check: Callable[[Subject], None], error: Exception) -> str:
    clause = " ".join((check.__doc__ or check.__name__).split())
    said = " ".join(str(error).split())[:300]
    return f"{subject.name}: {clause} Instead: {type(error).__name__}: {said}"


def _subject(env: gymnasium.Env[str, str] | str, actions: tuple[str, ...]) -> Subject:
    if isinstance(env, str):
        name = env
        return Subject(name, lambda **arguments: make(name, **arguments), actions)
    original = env.unwrapped
    if not isinstance(original, TextEnv):
        raise TypeError(
            f"expected a TextEnv, got {type(original).__name__}; derive it from TextEnv"
        )
    spec = original.spec
    if spec is not None:

        def registered(**arguments: Any) -> TextEnv:
            made = gymnasium.make(spec, **arguments).unwrapped
            assert isinstance(made, TextEnv)
            return made

        return Subject(spec.id, registered, actions)

    pristine = copy.deepcopy(original)

    def copied(**arguments: Any) -> TextEnv:
        made = copy.deepcopy(pristine)
        for name, value in arguments.items():
            setattr(made, name, value)
        return made

    return Subject(type(original).__name__, copied, actions)
