"""`make_policy`: one string names a policy, in Python and on the command line.

`open_engine`: one string names what samples for a trainer.
"""

import contextlib
import importlib
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lmenvs.recipes import find_player
from lmenvs.registration import parse_env_string

from .bandits import bandit_policy
from .folders import model_folder
from .protocols import Policy
from .scripted import ExpertPolicy, NeverGoBack, NoisyPolicy, PlayerPolicy, RandomPolicy
from .secrets import masked

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from .chat import Chat
    from .sampling import Sampling

FORMS = (
    "'random', 'expert', 'human', 'script:never-go-back', 'script:<module>:<function>', "
    "'bandit:<rule>', "
    "'hf:<folder or hub id>', 'continuous:<folder or hub id>', 'openai:<model>@<base url>' or "
    "'module:function'"
)


def make_policy(spec: str, **options: Any) -> Policy:
    """The policy that a string names.

    | spec | what acts |
    |---|---|
    | `random` | uniform over the legal actions |
    | `expert` | the environment's scripted expert; `noise` is its share of random actions |
    | `human` | you, at the terminal |
    | `script:never-go-back` | an imperfect player of text worlds (`noise`) |
    | `script:MODULE:FUNCTION` | a function of (environment, generator), such as that which made |
    | | LMRL-Gym's Wordle data: `script:lmenvs.envs.word.wordle_policies:dataset` (`noise`) |
    | `bandit:RULE` | `ucb`, `thompson`, `greedy`, `epsilon-greedy`, `linucb` or `uniform` |
    | `hf:DIR`, `hf:ORG/NAME` | a causal language model (extra `train`); a run's `--out` folder |
    | `continuous:DIR` | the same through Transformers' continuous batching; see continuous.py |
    | `openai:MODEL@URL` | a model behind an OpenAI-compatible endpoint (extra `api`) |
    | `module:function` | whatever Policy that function returns |

    Options of the policy follow behind a question mark (`hf:runs/demo?temperature=0`) or as keyword
    arguments, which go over those in the string. Those of `hf:` are the fields of
    `agents.sampling.Sampling`: `hf:DIR?top_p=0.9&stop=;`, `hf:DIR?stop=["; ", "."]`; `strength`
    and `return` are for folders with value heads or conditioning: see saved.py.

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
        if kind == "script" and re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", rest):
            return _player(rest, **given)
        if kind == "bandit" and rest:
            return bandit_policy(rest, given)
        if kind in ("hf", "continuous") and rest:
            return _language_model(kind, rest, given)
        if kind == "openai" and rest:
            return _endpoint(rest, given)
        if colon and re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", name):
            return _custom(kind, rest, given)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise ValueError(
            f"policy {masked(spec)!r}: {error}; correct the options behind '?'"
        ) from error
    raise ValueError(f"policy {masked(spec)!r}; expected {FORMS}")


@contextlib.contextmanager
def open_engine(
    spec: str,
    model: "PreTrainedModel",
    chat: "Chat",
    sampling: "Sampling",
    version: int = 0,
) -> Iterator[Policy]:
    """What samples a trainer's episodes with the weights that its model has now.

    | spec | where |
    |---|---|
    | `""` | in this process (`agents.lm.LMPolicy`): the default |
    | `continuous` | in this process, by Transformers' continuous batching; `?seed=1` |
    | `openai:MODEL@URL?weights=DIR` | an endpoint that reads weights in DIR: see engines.py |

    The weights must not change before the context ends.

    Raises:
        ValueError: for a spec of another form, and where the engine refuses; in one line.
    """
    name, _, query = spec.partition("?")
    options = _options(spec, query)
    kind, _, rest = name.partition(":")
    if not spec:
        from .lm import LMPolicy

        yield LMPolicy(model, chat, sampling, version)
    elif name == "continuous" and set(options) <= {"seed"}:
        from .continuous import ContinuousPolicy

        with contextlib.closing(
            ContinuousPolicy(model, chat, sampling, version, **options)
        ) as policy:
            yield policy
    elif kind == "openai" and rest:
        served_name, at, url = rest.partition("@http")
        with _needing_http(spec):
            from .engines import served
        url = f"http{url}" if at else None
        with contextlib.ExitStack() as stack:
            try:
                engine = served(
                    spec, model, chat, sampling, version, name=served_name, url=url, **options
                )
                policy = stack.enter_context(engine)
            except TypeError as error:
                if "argument" not in str(error):
                    raise
                raise ValueError(
                    f"engine {masked(spec)!r}: {error}; correct the options behind '?'"
                ) from error
            yield policy
    else:
        raise ValueError(
            f"engine {masked(spec)!r}; expected '' (in this process), 'continuous', "
            "'continuous?seed=1' or 'openai:MODEL@URL?weights=FOLDER'"
        )


def _options(spec: str, query: str) -> dict[str, Any]:
    try:
        return dict(parse_env_string(f"?{query}")[1]) if query else {}
    except ValueError as error:
        raise ValueError(
            f"policy {masked(spec)!r}: expected POLICY?key=value&key=value, got otherwise"
        ) from error


def _human(**options: Any) -> Policy:
    from .human import HumanPolicy

    return HumanPolicy(**options)


def _expert(noise: float = 0.0) -> Policy:
    return NoisyPolicy(ExpertPolicy(), noise) if noise else ExpertPolicy()


def _player(name: str, noise: float = 0.0) -> Policy:
    try:
        base = PlayerPolicy(find_player(name))
    except (ImportError, KeyError) as error:
        raise ValueError(
            f"policy 'script:{name}': no such function ({error}); expected script:MODULE:FUNCTION"
        ) from error
    return NoisyPolicy(base, noise) if noise else base


_PLAIN = {"random": RandomPolicy, "expert": _expert, "human": _human}


def _language_model(kind: str, name: str, options: dict[str, Any]) -> Policy:
    folder = model_folder(name)
    try:
        from .sampling import Sampling

        if kind == "hf":
            from .saved import saved_policy as load_policy
        else:
            from .continuous import load_policy
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in ("torch", "transformers", "peft"):
            raise
        raise ImportError(
            f"policy '{kind}:{name}' runs a language model and needs {error.name}, "
            "which is not installed; pip install 'lmenvs[train]'"
        ) from error
    for option, value in options.items():
        if option != "stop" and not isinstance(value, int | float | None):
            raise ValueError(f"policy '{kind}:{name}': {option}={value!r}; expected a number")
    if "stop" in options:
        options = {**options, "stop": _texts(options["stop"])}
    own = {"strength": "strength", "return": "target"} if kind == "hf" else {"seed": "seed"}
    beside = {own[name]: options.pop(name) for name in own if name in options}
    return load_policy(folder, Sampling(**options), **beside)


def _texts(value: Any) -> tuple[str, ...]:
    """The texts of a list; anything else is one text: `stop=1` is the text "1"."""
    many = value if isinstance(value, list | tuple) else [value]
    return tuple(one if isinstance(one, str) else json.dumps(one) for one in many)


def _endpoint(rest: str, options: dict[str, Any]) -> Policy:
    model, at, url = rest.partition("@http")
    with _needing_http(f"openai:{rest}"):
        from .api import OpenAIPolicy
    if "stop" in options:
        options = {**options, "stop": _texts(options["stop"])}
    return OpenAIPolicy(model, f"http{url}" if at else None, **options)


@contextlib.contextmanager
def _needing_http(spec: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in ("httpx", "tenacity"):
            raise
        raise ImportError(
            f"{masked(spec)!r} talks HTTP and needs {error.name}, which is not installed; "
            "pip install 'lmenvs[api]'"
        ) from error


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
