"""The training loop: steps, schedule, checkpoints that a later run resumes."""

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from . import model as models
from .lists import BLOCK, Dev, Lists, tell
from .pairs import Pairs
from .score import TorchScorer


def arguments(it):
    """The flags that train and distil share."""
    it.add_argument("--data", default="train/out/data")
    it.add_argument("--lists", required=True, help="mined lists of the train split")
    it.add_argument("--dev", required=True, help="mined lists of the dev split")
    it.add_argument("--dev-limit", type=int, default=200)
    it.add_argument("--tokenizer", default="builtin/late-interaction-v2/tokenizer.json")
    it.add_argument("--start", required=True, help="model.safetensors, a .pt, or an int8 .onnx of ours")
    it.add_argument("--layers", help="of the start, e.g. 4,5; all when absent")
    it.add_argument("--out", required=True, help="folder of checkpoints; a run there is resumed")
    it.add_argument("--steps", type=int, default=1000)
    it.add_argument("--minutes", type=float, default=1e9, help="stop then; run again to go on")
    it.add_argument("--by-clock", action="store_true", help="the schedule ends with --minutes, whatever --steps")
    it.add_argument("--save-minutes", type=float, default=4)
    it.add_argument("--dev-every", type=int, default=200, help="steps")
    it.add_argument("--queries", type=int, default=8, help="of a step")
    it.add_argument("--candidates", type=int, default=8, help="of a query, the positive included")
    it.add_argument("--block", type=int, default=BLOCK, help="passages that are read at once")
    it.add_argument("--lengths", default="64,128,192", help="windows in tokens, one drawn a step")
    it.add_argument("--lr", type=float, default=4e-5)
    it.add_argument("--lr-head", type=float, default=20.0, help="times --lr, of mix and weigh")
    it.add_argument("--warmup", type=float, default=0.1, help="share of the steps")
    it.add_argument("--decay", type=float, default=0.01)
    it.add_argument("--train-words", action="store_true", help="train the table of words too")
    it.add_argument("--half", action="store_true", help="bf16 products also on a CPU: twice as fast with AVX-512 BF16")
    it.add_argument("--threads", type=int, default=2)
    it.add_argument("--workers", type=int, default=0, help="processes that make batches; 12 beside a GPU")
    it.add_argument("--seed", type=int, default=0)


def rate(step, steps, warmup):
    """Linear up, then linear down to 0; a share of the largest rate."""
    first = max(1, int(steps * warmup))
    return (step + 1) / first if step < first else max(0.0, (steps - step) / max(1, steps - first))


def clock_rate(gone, warmup):
    """The same of a share of the time."""
    return gone / warmup if gone < warmup else max(0.0, (1 - gone) / (1 - warmup))


def grouped(model, decay, head):
    """No decay of biases and norms; the head at `head` times the rate."""
    own = [model.mix, model.weigh]
    trained = [p for p in model.parameters() if p.requires_grad and all(p is not it for it in own)]
    return [{"params": [p for p in trained if p.ndim > 1], "weight_decay": decay, "times": 1.0},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0, "times": 1.0},
            {"params": own, "weight_decay": 0.0, "times": head}]


@dataclass
class Read:
    """What a model makes of a batch."""

    logits: torch.Tensor  # [queries, passages]; MASKED where a passage is another positive
    states: list  # (states [texts, tokens, hidden], mask) of the queries and of each block of passages


def read(model, batch, device):
    query, passages, blind = batch

    def states(ids, mask):
        ids, mask = torch.as_tensor(ids, device=device), torch.as_tensor(mask, device=device)
        return ids, mask, model.alone(ids, mask)

    asked, blocks = states(*query), [states(*block) for _, *block in passages]
    order = torch.cat([torch.as_tensor(place) for place, *_ in passages]).argsort().to(device)
    logits = torch.cat([model.compare(asked, block) for block in blocks], dim=1)[:, order]
    logits = logits.masked_fill(torch.as_tensor(blind, device=device), models.MASKED)
    return Read(logits, [(told, mask) for _, mask, told in (asked, *blocks)])


def write(path, what):
    part = path.with_suffix(".part")
    torch.save(what, part)
    os.replace(part, path)


def fit(args, loss_of, teacher=None):
    """Trains until the steps or the minutes are over. `loss_of` takes what the model
    makes of a batch (`Read`), and what the teacher does. The passages are those of one
    query after the other, as many for each, its positive first."""
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    device = models.device()
    torch.backends.cuda.matmul.allow_tf32 = True
    layers = [int(one) for one in args.layers.split(",")] if args.layers else None
    model = models.start(args.start, layers)
    # Half of the weights, of which a short run sees few words: left as they are.
    model.embeddings.word_embeddings.weight.requires_grad_(args.train_words)
    pairs = Pairs(args.tokenizer)
    lengths = [int(one) for one in args.lengths.split(",")]
    lists = Lists(args.data, args.lists, pairs, args.candidates, lengths, seed=args.seed, block=args.block)
    dev = Dev(args.data, args.dev, args.dev_limit)
    if not model.log_idf.any():
        texts = [f"{title} {text}" for title, text in lists.corpus.values()]
        told = pairs.tokenizer.encode_batch(texts, add_special_tokens=False)
        model.count([one.ids for one in told])
    model.to(device)
    if teacher:
        teacher.to(device).eval()
    optimiser = torch.optim.AdamW(grouped(model, args.decay, args.lr_head), lr=args.lr)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    step, best = resume(out / "last.pt", model, optimiser)
    print(f"{models.describe(model)}, on {device}, step {step} of {args.steps}", flush=True)

    def measure():
        figures = dev.measure(dev.scores(TorchScorer(model, pairs, args.half)))
        print(f"step {step} dev nDCG@10 {tell(figures)}", flush=True)
        model.train()
        # Not the best weight: a model that is hardly heard is never far from "off".
        return float(np.mean([value for key, value in figures.items() if key != "off"]))

    def keep():
        write(out / "last.pt", {"model": model.state_dict(), "settings": vars(model.settings),
                                "optimiser": optimiser.state_dict(), "step": step, "best": best})

    def report():
        nonlocal best
        a_second = tokens / (time.monotonic() - begun)
        print(f"step {step} loss {np.mean(losses[-args.dev_every:]):.4f}, {a_second:.0f} tokens/s", flush=True)
        found = measure()
        if found > best:
            best = found
            models.save(model, out / "best.pt")

    if step == 0:
        best = measure()
        models.save(model, out / "best.pt")
    begun = saved = time.monotonic()
    losses, tokens = [], 0
    for batch in lists.stream(step, args.steps, args.queries, args.workers):
        gone = (time.monotonic() - begun) / (60 * args.minutes)
        if gone > 1:
            break
        share = clock_rate(gone, args.warmup) if args.by_clock else rate(step, args.steps, args.warmup)
        for group in optimiser.param_groups:
            group["lr"] = args.lr * group["times"] * share
        with torch.autocast(device, torch.bfloat16, enabled=args.half or device == "cuda"):
            with torch.no_grad():
                taught = read(teacher, batch, device) if teacher else None
            loss = loss_of(read(model, batch, device), taught)
        if not math.isfinite(loss.item()):
            raise SystemExit(f"the loss is {loss.item()} at step {step}; try a lower --lr")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
        tokens += batch[0][1].sum() + sum(mask.sum() for _, _, mask in batch[1])
        step += 1
        if step % args.dev_every == 0:
            report()
        if time.monotonic() - saved > 60 * args.save_minutes:
            keep()
            saved = time.monotonic()
    if losses and step % args.dev_every:
        report()
    keep()
    print(f"step {step} of {args.steps}, best dev nDCG@10 (mean over the weights) {best:.4f}, in {out}", flush=True)
    return best


def resume(path, model, optimiser):
    """(step, best) of the checkpoint, or (0, 0)."""
    if not path.exists():
        return 0, 0.0
    saved = torch.load(path, map_location="cpu")
    if tuple(saved["settings"]["layers"]) != tuple(model.settings.layers):
        raise SystemExit(f"{path} is a model of other layers; give another --out")
    model.load_state_dict(saved["model"])
    optimiser.load_state_dict(saved["optimiser"])
    return saved["step"], saved["best"]
