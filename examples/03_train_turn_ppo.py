"""Make a tiny language model, clone scripted play, and improve it with turn-level PPO; no download.

Run: python examples/03_train_turn_ppo.py [--smoke]     (some minutes; seconds with --smoke)
"""

import sys
import tempfile
from pathlib import Path

from agents.rollout import evaluate
from algorithms import behaviour_cloning, report, support, turn_ppo

smoke = "--smoke" in sys.argv
env = "lmenvs/TextWorldCoinCollector-v0?level=104&admissible=true&description=name&games=256"
training_env = (
    f"{env}&relabel=true"  # new names and directions every episode: routes cannot be learned
)
support.set_threads(1)  # a model this small is quickest on one thread

folder = Path(tempfile.mkdtemp(prefix="lmenvs-"))
player = "script:never-go-back?noise=0.4"  # knows only what it sees, and errs
cloning = behaviour_cloning.Config(
    demonstrator=player, episodes=16 if smoke else 2000, epochs=1 if smoke else 5
)
tiny = behaviour_cloning.TinyConfig(hidden=32 if smoke else 160, clone=cloning)
start = behaviour_cloning.pretrain(training_env, folder / "start", tiny)

config = turn_ppo.Config(iterations=2 if smoke else 40, episodes=8 if smoke else 128)
trained = turn_ppo.train(training_env, start / "checkpoints", folder / "ppo", config)

for name, run in (("start", start), ("trained", trained)):
    # the run's folder is a model: AutoModelForCausalLM.from_pretrained loads its checkpoints/ too
    scored = evaluate(env, f"hf:{run}", episodes=8 if smoke else 64, split="test", name=name)
    success = scored.success
    print(f"{name}: held-out success {success.mean:.2f} [{success.low:.2f}, {success.high:.2f}]")

page = report.build([start, trained], folder / "report.html", title="Turn-level PPO on TextWorld")
print(f"curves and transcripts: {page}")
