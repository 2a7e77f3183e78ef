"""`make_policy`: one string names a policy, in Python and on the command line."""

import importlib
import re
from typing import Any

from lmenvs.registration import parse_env_string

from .bandits import bandit_policy
from .folders import model_folder
from .protocols import Policy
from .scripted import ExpertPolicy, NeverGoBack, NoisyPolicy, RandomPolicy

FORMS = (
    "'random', 'expert', 'human', 'script:never-go-back', 'bandit:<rule>', "
    "'hf:<folder or hub id>', 'openai:<model>@<base url>' or 'module:function'"
)


def make_policy(spec: str, **options: Any) -> Policy:
    """The policy that a string names.

    | spec | what acts |
    |---|---|
    | `random` | uniform over the legal actions |
    | `expert` | the environment's scripted expert; `noise` is its share of random actions |
    | `human` | you, at the terminal |
    | `script:never-go-back` | an imperfect player of text worlds (`noise`) |
    | `bandit:RULE` | `ucb`, `thompson`, `greedy`, `epsilon-greedy`, `linucb` or `uniform` |
    | `hf:DIR`, `hf:ORG/NAME` | a causal language model (extra `train`); a run's `--out` folder |
    | `openai:MODEL@URL` | a model behind an OpenAI-compatible endpoint (extra `api`) |
    | `module:function` | whatever Policy that function returns |

    Options of the policy follow behind a question mark (`hf:runs/demo?temperature=0`) or as keyword
    arguments, which go over those in the string.

    Raises:
        ValueError: for a spec of another form, an option the policy does not have, or a folder
            that holds no model; in one line.
    """
    name, _, query = spec.partition("?")
    given = {**_options(spec, query), **options}
    kind, colon, rest = name.partition(":")
    try:
        if not colon and kind in _PLAIN:
            return _PLAIN[kind](**given)
        if kind == "script" and rest == "never-go-back":
            return NeverGoBack(**given)
        if kind == "bandit" and rest:
            return bandit_policy(rest, given)
        if kind == "hf" and rest:
            return _language_model(rest, given)
        if kind == "openai" and rest:
            return _endpoint(rest, given)
        if colon and re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", name):
            return _custom(kind, rest, given)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise ValueError(f"policy {spec!r}: {error}; correct the options behind '?'") from error
    raise ValueError(f"policy {spec!r}; expected {FORMS}")


def _options(spec: str, query: str) -> dict[str, Any]:
    try:
        return dict(parse_env_string(f"?{query}")[1]) if query else {}
    except ValueError as error:
        raise ValueError(
            f"policy {spec!r}: expected POLICY?key=value&key=value, got {query!r} behind '?'"
        ) from error


def _human(**options: Any) -> Policy:
    from .human import HumanPolicy

    return HumanPolicy(**options)


def _expert(noise: float = 0.0) -> Policy:
    return NoisyPolicy(ExpertPolicy(), noise) if noise else ExpertPolicy()


_PLAIN = {"random": RandomPolicy, "expert": _expert, "human": _human}


def _language_model(name: str, options: dict[str, Any]) -> Policy:
    folder = model_folder(name)
    try:
        from .lm import load_policy
        from .sampling import Sampling
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in ("torch", "transformers", "peft"):
            raise
        raise ImportError(
            f"policy 'hf:{name}' runs a language model and needs {error.name}, "
            "which is not installed; pip install 'lmenvs[train]'"
        ) from error
    return load_policy(folder, Sampling(**options))


def _endpoint(rest: str, options: dict[str, Any]) -> Policy:
    model, at, url = rest.partition("@http")
    try:
        from .api import OpenAIPolicy
    except ModuleNotFoundError as error:
        if error.name not in ("httpx", "tenacity"):
            raise
        raise ImportError(
            f"policy 'openai:{rest}' talks HTTP and needs {error.name}, which is not installed; "
            "pip install 'lmenvs[api]'"
        ) from error
    return OpenAIPolicy(model, f"http{url}" if at else None, **options)


def _custom(module_name: str, attribute: str, options: dict[str, Any]) -> Policy:
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, but something that it imports is not
        raise ValueError(
            f"policy '{module_name}:{attribute}': no module {error.name!r}; expected {FORMS}"
        ) from error
    factory = vars(module).get(attribute)
    if not callable(factory):
        raise ValueError(
            f"policy '{module_name}:{attribute}': {module_name} has no function {attribute!r}; "
            "name one that returns a Policy"
        )
    policy = factory(**options)
    if not isinstance(policy, Policy):
        raise ValueError(
            f"policy '{module_name}:{attribute}' returned {type(policy).__name__}; "
            "expected an object with version, act and forget (agents.protocols.Policy)"
        )
    return policy
