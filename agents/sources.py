"""Where rollouts take environments from: an env string, a function that makes one, an instance."""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium

from lmenvs.core import TextEnv
from lmenvs.registration import (
    TABLE,
    find,
    format_env_string,
    make,
    parse_env_string,
    register_all,
)
from lmenvs.spec import EnvSpec

AnyEnv = gymnasium.Env[str, str]
EnvLike = str | Callable[[], AnyEnv] | AnyEnv


@dataclass(frozen=True, slots=True)
class EnvSource:
    """Environments of one kind, and how episodes name them.

    Attributes:
        name: The env string that episodes store; without the split that was asked for beside it.
        split: "all", "train" or "test".
        label: The name with the split: what ids and groups start with.
        make: Gives an environment for one slot.
        instance: `make` always gives the one instance that the caller owns.
        recipe: Makes an environment in another process too; None for an instance.
        spare: Environments that were made to learn their name and that `make` gives first.
    """

    name: str
    split: str
    label: str
    make: Callable[[], AnyEnv]
    instance: bool = False
    recipe: Callable[[], AnyEnv] | None = None
    spare: list[AnyEnv] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Makes the environment of an env string, wherever it is unpickled.

    Attributes:
        name: The env string.
        kwargs: Arguments beside it.
        spec: Its row: a table that was added to in one process is not in another's.
    """

    name: str
    kwargs: dict[str, Any]
    spec: EnvSpec

    def __call__(self) -> AnyEnv:
        """A new environment."""
        if self.spec.id not in TABLE:
            TABLE[self.spec.id] = self.spec
            register_all()
        return make(self.name, **self.kwargs)


def takes_split(env_id: str) -> bool:
    """Whether the environment of this id has a train and a test half.

    Raises:
        ValueError: for an id that is not in the table.
    """
    module, _, class_name = find(env_id).entry_point.partition(":")
    environment = vars(importlib.import_module(module))[class_name]
    for kind in inspect.getmro(environment):
        taken = inspect.signature(kind.__init__).parameters
        if "split" in taken:
            return True
        # what a class does not name it may hand on to its base through **kwargs
        if all(one.kind is not inspect.Parameter.VAR_KEYWORD for one in taken.values()):
            return False
    return False


def open_source(env: EnvLike, split: str | None = None, *, prefer: str | None = None) -> EnvSource:
    """The source behind what a caller named.

    Args:
        env: An env string, a function that makes an environment, or an environment. With an
            instance one episode is played at a time, and it stays open.
        split: Which half of the items; goes over what the env string says.
        prefer: The split where neither says one and the environment has them.

    Raises:
        ValueError: for an unknown environment, or a split that it does not have.
    """
    if not isinstance(env, str):
        if split is not None:
            raise ValueError(
                f"split={split!r} needs an env string, got {env!r}; make it with its split"
            )
        return _of_instance(env) if isinstance(env, gymnasium.Env) else _of_function(env)
    env_id, given = parse_env_string(env)
    # what stands in for a user's data is named: nobody may take the example's scores for the data's
    kwargs = {**find(env_id).kwargs, **given}
    splits = takes_split(env_id)
    if split not in (None, "all") and not splits:
        raise ValueError(f"split={split!r}, but {env_id} has no splits; leave split out")
    named = kwargs.get("split")
    chosen = split or named or (prefer if prefer is not None and splits else None) or "all"
    if split is not None:
        kwargs.pop("split", None)
    name = format_env_string(env_id, kwargs)
    beside = splits and "split" not in kwargs and chosen != "all"
    extra = {"split": chosen} if splits else {}
    recipe = Recipe(name, extra, find(env_id))
    return EnvSource(
        name=name,
        split=str(chosen),
        label=f"{name}[{chosen}]" if beside else name,
        make=recipe,
        recipe=recipe,
    )


def _of_function(function: Callable[[], AnyEnv]) -> EnvSource:
    first = function()
    source = _of_instance(first)
    spare = [first]
    return EnvSource(
        source.name,
        source.split,
        source.name,
        lambda: spare.pop() if spare else function(),
        recipe=function,
        spare=spare,
    )


def _of_instance(env: AnyEnv) -> EnvSource:
    if not isinstance(env.unwrapped, TextEnv):
        raise ValueError(
            f"expected an environment whose unwrapped form is an lmenvs.TextEnv, got {env!r}"
        )
    spec = env.unwrapped.spec
    if spec is None:
        name, split = type(env.unwrapped).__name__, "all"
    else:
        name, split = format_env_string(spec.id, spec.kwargs), spec.kwargs.get("split", "all")
    return EnvSource(name, split, name, lambda: env, instance=True)
