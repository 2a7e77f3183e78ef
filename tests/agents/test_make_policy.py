import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import agents
from agents import Conversation, Policy, make_policy
from agents.branching import branch
from agents.folders import model_folder
from agents.human import HumanPolicy
from agents.rollout import collect, evaluate
from agents.scripted import ExpertPolicy, NeverGoBack, RandomPolicy
from lmenvs import Action, Message
from lmenvs.references import references
from tests.support.games import Dice, Scripted, rolls

ROOT = Path(agents.__file__).parent.parent


def one_line(error: BaseException) -> bool:
    return "\n" not in str(error) and 0 < len(str(error)) < 400


def test_a_name_makes_its_policy() -> None:
    assert isinstance(make_policy("random"), RandomPolicy)
    assert isinstance(make_policy("expert"), ExpertPolicy)
    assert isinstance(make_policy("human"), HumanPolicy)
    assert isinstance(make_policy("script:never-go-back?noise=0.2"), NeverGoBack)
    made = make_policy("tests.support.games:rolls?turns=2")
    assert isinstance(made, Scripted) and isinstance(made, Policy)


def test_options_come_from_the_spec_or_from_the_call_which_wins() -> None:
    said = Conversation("c", (Message("user", "Commands: go east, take coin"),))
    assert make_policy("script:never-go-back?noise=0").act([said]) == [Action("take coin")]
    with pytest.raises(ValueError, match="noise 7"):
        make_policy("script:never-go-back?noise=0", noise=7)


def test_a_function_that_measures_a_reference_score_plays_it():
    env = "lmenvs/Wordle-v0?feedback=lmrl"
    spec = "script:lmenvs.envs.word.wordle_policies:dataset"
    measured = references(env)["average"]
    report = evaluate(env, spec, episodes=300, seed=10**6, split="all")
    assert report.returns.low < measured.value < report.returns.high
    assert make_policy("script:agents.scripted:listed_commands").version == 0
    for wrong in ("script:no.such:thing", "script:agents.scripted:nothing"):
        with pytest.raises(ValueError, match=r"no such function .* expected script:MODULE:FUNC"):
            make_policy(wrong)


@pytest.mark.parametrize(
    "spec", ["", "nobody", "hf:", "openai:", "script:cheat", "random:1", "a b:c", "x:", "Expert"]
)
def test_an_unknown_spec_is_answered_with_the_forms(spec: str) -> None:
    with pytest.raises(
        ValueError, match=r"expected 'random', 'expert'.*'module:function'"
    ) as caught:
        make_policy(spec)
    assert one_line(caught.value) and repr(spec) in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no_such_module:make", "no module 'no_such_module'"),
        ("tests.support.missing:make", "no module 'tests.support.missing'"),
        ("tests.support.games:nothing", "has no function 'nothing'"),
        ("tests.support.games:Dice", "returned Dice; expected an object with version, act"),
        ("random?noise=1", "correct the options behind '[?]'"),
        ("tests.support.games:rolls?turns=1&x=2", "correct the options behind '[?]'"),
        ("openai:tiny@http://127.0.0.1:1/v1?heat=2", "correct the options behind '[?]'"),
    ],
)
def test_a_spec_that_leads_nowhere_says_why(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make_policy(spec)
    assert one_line(caught.value)


def test_a_module_that_lacks_something_it_imports_keeps_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needy_policies.py").write_text("import a_package_that_is_not_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_here"):
        make_policy("needy_policies:make")


def test_a_type_error_inside_a_policy_is_not_blamed_on_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_policies.py").write_text("def make():\n    return len(5)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TypeError, match="has no len"):
        make_policy("broken_policies:make")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"expected config\.json or adapter_config\.json"
    ) as caught:
        make_policy(f"hf:{tmp_path}")
    assert one_line(caught.value)
    with pytest.raises(FileNotFoundError, match="no model folder") as missing:
        make_policy(f"hf:{tmp_path}/nowhere")
    assert one_line(missing.value)


def test_a_run_folder_stands_for_its_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")  # a run's own, which is no model's
    assert model_folder(str(tmp_path)) == str(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ValueError, match=r"in its checkpoints/"):
        model_folder(str(tmp_path))
    (tmp_path / "checkpoints" / "adapter_config.json").write_text("{}")
    assert model_folder(str(tmp_path)) == str(tmp_path / "checkpoints")
    assert model_folder("organisation/name-0.5B") == "organisation/name-0.5B"


def test_a_saved_model_plays(tmp_path: Path) -> None:
    from agents import tiny

    tokenizer = tiny.make_tokenizer(["Say roll or stop.", "Total 12."], 300)
    model = tiny.make_model(tokenizer, hidden=16, layers=1, heads=2, context=256)
    tiny.save(model, tokenizer, tmp_path / "checkpoints")
    policy = make_policy(f"hf:{tmp_path}?temperature=0&max_new_tokens=4")
    wide = collect(Dice, policy, range(3), max_turns=2)
    narrow = collect(Dice, policy, range(3), max_turns=2, width=1)
    actions = [turn.action for episode in wide for turn in episode.turns]
    assert [len(action.token_ids) for action in actions] == [4] * 6
    assert [one.token_ids for one in actions] == [
        turn.action.token_ids for episode in narrow for turn in episode.turns
    ]
    (branched,) = branch(Dice, policy, wide[0], [1], max_turns=2)
    assert branched.turns[1].action.token_ids == wide[0].turns[1].action.token_ids
    with pytest.raises(ValueError, match="correct the options"):
        make_policy(f"hf:{tmp_path}?heat=0")


def test_options_of_a_language_model_are_those_of_its_sampling(tmp_path: Path) -> None:
    from agents.continuous import ContinuousPolicy
    from agents.lm import LMPolicy
    from agents.sampling import Sampling
    from tests.support.language import chat, model

    chat().save(model(), tmp_path)
    for query, sampling in (
        ("stop=;&min_p=0.1", Sampling(stop=(";",), min_p=0.1)),
        ("stop=1&top_k=3", Sampling(stop=("1",), top_k=3)),
        ('stop=["; ", "."]&top_p=0.5', Sampling(stop=("; ", "."), top_p=0.5)),
        ("stop=true&temperature=0", Sampling(stop=("true",), temperature=0)),
    ):
        made = make_policy(f"hf:{tmp_path}?{query}")
        assert isinstance(made, LMPolicy) and made.sampling == sampling
    paged = make_policy(f"continuous:{tmp_path}?stop=;&seed=4")
    assert isinstance(paged, ContinuousPolicy) and paged.sampling == Sampling(stop=(";",))
    paged.close()
    for query, message in (
        ("temperature=hot", "temperature='hot'; expected a number"),
        ("max_new_tokens=0", "max_new_tokens 0; expected 1 or more"),
        ("seed=1", "correct the options behind"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            make_policy(f"hf:{tmp_path}?{query}")
        assert one_line(caught.value)


BLOCKED = """
import importlib.abc, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Block())
{code}
"""


def run_without(blocked: set[str], code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new process where these packages are not installed."""
    return subprocess.run(
        [sys.executable, "-c", BLOCKED.format(blocked=blocked, code=code)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_agents_need_no_torch_and_no_network_package() -> None:
    code = (
        "import agents, sys; from agents.rollout import evaluate; import agents.branching\n"
        "import agents.tabular, agents.human, agents.serve\n"
        "print(evaluate('lmenvs/Microwave-v0', 'expert', episodes=2).success.mean)"
    )
    done = run_without({"torch", "transformers", "httpx", "tenacity", "textworld"}, code)
    assert (done.stdout, done.stderr) == ("1.0\n", "")


@pytest.mark.parametrize(
    ("package", "spec", "extra"),
    [("torch", "hf:gpt2", "train"), ("httpx", "openai:m@http://x/v1", "api")],
)
def test_a_missing_extra_is_named_in_one_line(package: str, spec: str, extra: str) -> None:
    done = run_without({package}, f"from agents import make_policy; make_policy({spec!r})")
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ") and f"needs {package}" in last
    assert f"pip install 'lmenvs[{extra}]'" in last


def test_import_stops_where_another_distribution_owns_the_folder(tmp_path: Path) -> None:
    for package in ("agents", "lmenvs"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "data")
        )

    def imported() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "import agents; print(agents.__file__)"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    assert imported().stdout.strip() == str(tmp_path / "agents" / "__init__.py")
    (tmp_path / "openai_agents-0.6.0.dist-info").mkdir()
    stopped = imported()
    assert stopped.returncode == 1
    last = stopped.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: expected `agents` to be lmenvs' own folder, got openai_a")


def test_a_person_reads_the_game_and_types_the_actions() -> None:
    shown = io.StringIO()
    policy = HumanPolicy(io.StringIO("roll\nstop\nstop\n"), shown)
    episodes = collect(Dice, policy, [0, 1], width=1)
    assert [turn.action.text for turn in episodes[0].turns] == ["roll", "stop"]
    assert len(episodes[1].turns) == 1
    first, second = episodes[0].turns
    assert shown.getvalue().startswith(
        f"Say roll or stop.\n\n{first.observation}\n> {second.observation}\n> Say roll or stop.\n\n"
    )
    with pytest.raises(EOFError, match="ended before the episode did"):
        collect(Dice, policy, [2])


def test_the_policies_of_this_package_are_policies() -> None:
    for policy in (RandomPolicy(), ExpertPolicy(), NeverGoBack(), HumanPolicy(), rolls(1)):
        assert isinstance(policy, Policy)
    assert not isinstance(Dice(), Policy)
