"""Averages the weights of checkpoints that share their start (Wortsman et al., ICML
2022), and says what each, and the average, does on the dev lists."""

import argparse

from . import model as models
from .lists import Dev, tell
from .pairs import Pairs
from .score import TorchScorer


def average(paths, shares=None):
    """The model whose weights are the sum of shares x weights; alike when none are given."""
    shares = shares or [1 / len(paths)] * len(paths)
    many = [models.start(path) for path in paths]
    if any(len(one.settings.layers) != len(many[0].settings.layers) for one in many):
        raise SystemExit("the models have other layers")
    states = [one.state_dict() for one in many]
    mixed = {name: sum(share * state[name] for share, state in zip(shares, states)) for name in states[0]}
    many[0].load_state_dict(mixed)
    return many[0]


def main():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    it.add_argument("--models", nargs="+", required=True)
    it.add_argument("--shares", help="of each, e.g. 0.7,0.3; alike when absent")
    it.add_argument("--out", required=True)
    it.add_argument("--data", default="train/out/data")
    it.add_argument("--dev", help="mined lists: tells nDCG@10 of each and of the average")
    it.add_argument("--dev-limit", type=int, default=200)
    it.add_argument("--tokenizer", default="builtin/late-interaction-v2/tokenizer.json")
    args = it.parse_args()
    shares = [float(one) for one in args.shares.split(",")] if args.shares else None
    mixed = average(args.models, shares)
    models.save(mixed, args.out)
    if args.dev:
        dev = Dev(args.data, args.dev, args.dev_limit)
        for path in [*args.models, args.out]:
            scorer = TorchScorer(models.on_device(path), Pairs(args.tokenizer))
            print(f"{path} dev nDCG@10 {tell(dev.measure(dev.scores(scorer)))}", flush=True)


if __name__ == "__main__":
    main()
