"""`lmenvs pretrain` and `lmenvs train`: options are made from each algorithm's own Config."""

import dataclasses
import difflib
import importlib
import inspect
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from agents.folders import model_folder
from lmenvs.registration import make

from .reporting import write_report

FAMILIES: Mapping[str, Mapping[str, str]] = {
    "Imitation": {
        "behaviour_cloning": "imitate episodes, all or the best of them",
        "online_filtered_bc": "play, then imitate the best of all that was played",
    },
    "Credit of fresh episodes": {
        "bapo": "GRPO over many steps, with a clip that keeps the positive share (BAPO)",
        "bilevel_ppo": "PPO with advantages per turn, then per token within it (VAGEN)",
        "epo": "GRPO with entropy kept up and near its past, turn by turn (EPO)",
        "gigpo": "groups of episodes, and of turns taken in the same state (GiGPO)",
        "grpo": "returns compared within groups, clipped (GRPO, Dr. GRPO)",
        "poad": "PPO per token that discounts between turns only (POAD)",
        "reinforce": "policy gradient with a leave-one-out baseline; bears older data",
        "rloo": "returns or suffixes against the others of the group, clipped (RLOO)",
        "segment_po": "segments of turns credited by forked continuations (SPO, chain or tree)",
        "single_stream": "one episode per task against the task's tracked value",
        "slate": "ways on that share everything before a turn compared (SLATE)",
        "stratified_grpo": "returns compared within strata of the group (SAN)",
        "tempo": "GRPO corrected where the episodes of a group part (TEMPO)",
        "token_ppo": "PPO with advantages per token",
        "tppo": "turn PPO by windows; unfinished episodes go on (T-PPO)",
        "turn_ppo": "PPO with advantages per turn",
    },
    "Values": {
        "archer": "off-policy critic per turn, policy gradient per token (ArCHer, CHAI)",
        "offline_archer": "from a file: implicit critic per turn, weighted imitation (ArCHer)",
        "utterance_iql": "from a file: implicit critic per turn, the best of several answers",
        "ilql": "from a file: implicit critic per token that steers what is said (ILQL)",
        "mc_returns": "from a file: returns as played per token steer what is said (MC)",
    },
    "Policies from a file": {
        "a_lol": "imitate turns that beat the reference's value (A-LoL)",
        "digirl": "imitate turns that made success likelier (DigiRL)",
        "direct_advantage": "move each turn by its advantage (Direct Advantage PO)",
        "return_conditioning": "imitate all, told how well it went (DT, OpenChat)",
    },
    "Preferences": {
        "copg": "from a file: returns of any policy, by contrast of two plays (CoPG)",
        "cpl": "from a file: preferences train the policy without a reward (CPL)",
        "eto": "failures against successes at the same task, iterated (ETO)",
        "kto": "from a file: good and bad episodes without pairs (KTO)",
        "mcts_dpo": "searches in the environment, prefers what was found (MCTS-DPO)",
        "spin": "demonstrations preferred to the policy's own play (SPIN)",
        "step_dpo": "actions in one state compared by forked continuations",
        "tdpo": "from a file: pairs, with the divergence kept per token (TDPO)",
    },
    "Demonstrations": {
        "chord": "RLOO with expert episodes in the loss, or for the unsolved (CHORD, ReLIFT)",
        "dr_po": "RLOO that also begins at states of demonstrations (DR-PO)",
        "rlgf": "RLOO with a guide that begins episodes or ends them (PPO++, AggreVaTeD, D2LOLS)",
    },
    "Two levels": {
        "hierarchical": "a planner that names subgoals and an actor that follows them",
        "vsc_rl": "subgoals, held close to a reference that knows the goal only (VSC-RL)",
    },
}
"""What `lmenvs train` knows, by family."""
ALGORITHMS = {name: text for family in FAMILIES.values() for name, text in family.items()}

_TRAIN_HELP = """{summary}

Examples:
  lmenvs train {name} --env {env} {given} --out runs/{name}
  lmenvs train {name} --env {env} {given} --out runs/{name} --resume"""

_PRETRAIN_HELP = """Make a tiny language model on the spot and clone scripted play; no download.

Examples:
  lmenvs pretrain --env {env} --out runs/start
  lmenvs pretrain --env lmenvs/Maze-v0 --demonstrator expert --episodes 500 --out runs/start"""

_ENV = '"lmenvs/TextWorldCoinCollector-v0?level=104&admissible=true&description=name"'


def pretrain_options() -> type:
    """The options of `lmenvs pretrain`."""
    module = importlib.import_module("algorithms.behaviour_cloning")
    fields = [_ENV_FIELD, _OUT_FIELD, _RESUME_FIELD, _DEVICE_FIELD]
    fields.append(_config_field(module.TinyConfig))
    options = dataclasses.make_dataclass("Pretrain", fields, frozen=True, kw_only=True)
    options.__doc__ = _PRETRAIN_HELP.format(env=_ENV)
    return options


def pretrain(options: Any) -> int:
    """Make and clone the model."""
    from agents.devices import find_device

    from .. import behaviour_cloning

    find_device(options.device)
    make(options.env).close()  # a mistake is told before a folder is made for the run
    _finish(
        behaviour_cloning.pretrain(
            options.env, options.out, options.config, resume=options.resume, device=options.device
        )
    )
    return 0


def train(arguments: Sequence[str]) -> int:
    """Train with the algorithm that the first argument names."""
    from ..cli import parse

    name = arguments[0] if arguments else ""
    if name in ("-h", "--help"):
        print(_overview())
        return 0
    if name not in ALGORITHMS:
        near = difflib.get_close_matches(name, ALGORITHMS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(ALGORITHMS)}"
        raise ValueError(f"expected an algorithm, got {name or 'none'!r}; {hint}")
    module = importlib.import_module(f"algorithms.{name}")
    takes = inspect.signature(module.train).parameters
    fields, given = _what_it_takes(takes)
    fields.append(_config_field(module.Config))
    maker = dataclasses.make_dataclass("Train", fields, frozen=True, kw_only=True)
    maker.__doc__ = _TRAIN_HELP.format(summary=module.__doc__, name=name, env=_ENV, given=given)
    options = parse(maker, f"lmenvs train {name}", arguments[1:])
    from agents.devices import find_device

    find_device(options.device)
    make(options.env).close()  # mistakes are told before a folder is made for the run
    model = None if options.model is None else model_folder(options.model)
    named = [name for name, *_ in (*_WORKER_FIELDS, _DATA_FIELD) if name in takes]
    chosen = {name: getattr(options, name) for name in ("resume", "device", *named)}
    _finish(module.train(options.env, model, options.out, options.config, **chosen))
    return 0


def _what_it_takes(
    takes: Mapping[str, inspect.Parameter],
) -> tuple[list[tuple[str, Any, Any]], str]:
    """The options of a trainer besides its Config, and what an example of it names."""
    fields = [_ENV_FIELD, _OUT_FIELD, _RESUME_FIELD, _DEVICE_FIELD]
    given: list[str] = []
    if "data" in takes:
        needed = takes["data"].default is inspect.Parameter.empty
        fields.append(_DATA_FIELD if needed else _OPTIONAL_DATA_FIELD)
        given += ["--data runs/data/episodes.jsonl"] * needed
    optional = type(None) in typing.get_args(takes["model"].annotation)
    fields.append(_OPTIONAL_MODEL_FIELD if optional else _MODEL_FIELD)
    given += ["--model runs/start"] * (not optional)
    fields += _WORKER_FIELDS if "env_workers" in takes else ()
    return fields, " ".join(given)


def _overview() -> str:
    lines = [
        "usage: lmenvs train ALGORITHM [OPTIONS]",
        "",
        "Improve a model on an environment.",
        "",
    ]
    for family, known in FAMILIES.items():
        lines += [f"{family}:", *(f"  {name:<21}{text}" for name, text in known.items()), ""]
    lines += [
        "Examples:",
        f"  lmenvs train turn_ppo --env {_ENV} --model runs/start --out runs/ppo",
        "  lmenvs train archer --help",
    ]
    return "\n".join(lines)


def _finish(out: Path) -> None:
    write_report([out], out / "report.html", f"{out.name}: training")
    print(f"written to {out}; score it with: lmenvs eval --env ENV --policy hf:{out} --out DIR")


def _described(name: str, kind: object, text: str, **default: Any) -> tuple[str, Any, Any]:
    described = Annotated[kind, tyro.conf.arg(help=text)]  # pyright: ignore[reportInvalidTypeForm]
    return (name, described, dataclasses.field(**default))


def _config_field(config: Any) -> tuple[str, Any, Any]:
    return ("config", config, dataclasses.field(default=config()))


_DATA_HELP = "a file of episodes, one JSON line each; None: the demonstrator plays"
_ENV_FIELD = _described("env", str, "the environment, with arguments behind a question mark")
_MODEL_FIELD = _described("model", str, "a model folder, a run's --out folder or a hub id")
_OPTIONAL_MODEL_FIELD = _described(
    "model",
    str | None,
    "a model folder, a run's --out folder or a hub id; None: a tiny one made for the data",
    default=None,
)
_DATA_FIELD = _described("data", Path, "a file of episodes, one JSON line each")
_OPTIONAL_DATA_FIELD = _described("data", Path | None, _DATA_HELP, default=None)
_OUT_FIELD = _described("out", Path, "a new folder for the run; with --resume, the run's folder")
_DEVICE_FIELD = _described(
    "device", str, "where the models are: cpu, cuda or cuda:N", default="cpu"
)
_WORKER_FIELDS = (
    _described("env_workers", int, "processes that step slow environments; 0: none", default=0),
    _described(
        "step_timeout",
        float | None,
        "seconds until a worker's environment counts as hung",
        default=None,
    ),
)
_RESUME_FIELD = _described("resume", bool, "go on from the last checkpoint in --out", default=False)
