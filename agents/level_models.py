"""The models of two levels (torch): where they lie in a folder, and how they are loaded.

A folder of two levels is an ordinary model folder with `two_levels.json` beside it. The model in
it is that of the trained level, of both where they share it, or of the actor where the planner has
one of its own in `planner/`. With "adapters" these are two LoRA adapters on one base.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from transformers import PreTrainedModel

from lmenvs.types import Action

from .chat import Chat
from .folders import model_folder
from .hierarchical import Hierarchy, TwoLevels
from .in_context import InContextPlanner, Record
from .lm import LMPolicy
from .making import make_policy
from .models import load_model
from .protocols import Conversation, Policy
from .sampling import Sampling

FILE = "two_levels.json"
PLANNER = "planner"
"""The planner's folder, and the name of its adapter; the actor's is peft's own."""
ACTOR_ADAPTER = "default"
IN_CONTEXT = "in-context"


@dataclass(frozen=True, slots=True)
class LevelsRecord:
    """What `two_levels.json` says.

    Attributes:
        hierarchy: How the levels are made up.
        start: The folder or hub id that training began with, for a level that is frozen.
        plans: What a planner in context knows.
    """

    hierarchy: Hierarchy
    start: str
    plans: Record

    def write(self, folder: Path) -> None:
        """Write it into a model folder."""
        text = json.dumps(asdict(self), indent=2)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")


def read_record(folder: Path) -> LevelsRecord:
    """The record of a folder of two levels.

    Raises:
        ValueError: if the file is not one; one line.
    """
    try:
        raw = json.loads((folder / FILE).read_text(encoding="utf-8"))
        hierarchy = Hierarchy(**raw["hierarchy"])
        plans = [(str(plan), int(count), float(total)) for plan, count, total in raw["plans"]]
        return LevelsRecord(hierarchy, str(raw["start"]), plans)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / FILE}: expected the record of a two-level run, got something else "
            f"({' '.join(str(error).split())}); copy the whole checkpoint folder"
        ) from error


class WithAdapter:
    """A policy whose model has several adapters: this one speaks."""

    def __init__(self, policy: Policy, model: PreTrainedModel, adapter: str):
        self._policy, self._model, self._adapter = policy, model, adapter

    @property
    def version(self) -> int:
        """That of the policy."""
        return self._policy.version

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """The policy's answers under its adapter."""
        self._model.set_adapter(self._adapter)
        return self._policy.act(conversations)

    def forget(self, ids: Iterable[str]) -> None:
        """The policy forgets them."""
        self._policy.forget(ids)


def with_planner_adapter(model: PreTrainedModel, folder: Path | None) -> None:
    """Give a model with one LoRA adapter a second of the same shape, new or read from a folder.

    The first stays the one that speaks.
    """
    if folder is None:
        model.add_adapter(PLANNER, model.peft_config[ACTOR_ADAPTER])  # type: ignore[index, operator]  # peft's
    else:
        model.load_adapter(str(folder / PLANNER), PLANNER, is_trainable=True)
    model.set_adapter(ACTOR_ADAPTER)


def untrained(
    kind: str, start: str | Path, sampling: Sampling, plans: Record | None = None
) -> Policy:
    """The policy of a level that no gradient moves: see `Hierarchy.planner`."""
    name, _, rest = kind.partition(":")
    if name == IN_CONTEXT:
        return InContextPlanner(untrained(rest or "frozen", start, sampling), plans or [])
    if kind == "frozen":
        return LMPolicy(*load_model(start), sampling)
    return make_policy(kind)


def load_two_levels(path: str | Path, sampling: Sampling = Sampling()) -> TwoLevels:
    """The policy of a folder of two levels, or of a run's `--out` folder."""
    folder = Path(model_folder(str(path)))
    record = read_record(folder)
    hierarchy = record.hierarchy
    model, chat = load_model(folder)
    trained: Policy = LMPolicy(model, chat, sampling)
    if hierarchy.planner != "policy":
        planner = untrained(hierarchy.planner, record.start, sampling, record.plans)
        return TwoLevels(planner, trained, hierarchy)
    if hierarchy.actor != "policy":
        return TwoLevels(trained, untrained(hierarchy.actor, record.start, sampling), hierarchy)
    if hierarchy.models == "shared":
        return TwoLevels(trained, trained, hierarchy)
    if hierarchy.models == "two":
        return TwoLevels(LMPolicy(*load_model(folder / PLANNER), sampling), trained, hierarchy)
    return _on_one_base(model, chat, folder, hierarchy, trained, sampling)


def _on_one_base(
    model: PreTrainedModel,
    chat: Chat,
    folder: Path,
    hierarchy: Hierarchy,
    actor: Policy,
    sampling: Sampling,
) -> TwoLevels:
    with_planner_adapter(model, folder)
    model.set_adapter(PLANNER)
    planner = LMPolicy(model, chat, sampling)
    return TwoLevels(
        WithAdapter(planner, model, PLANNER),
        WithAdapter(actor, model, ACTOR_ADAPTER),
        hierarchy,
    )
