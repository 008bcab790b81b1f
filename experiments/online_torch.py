"""An online mixture in a plain PyTorch loop, resumable at any step.

    python experiments/online_torch.py DATA --steps 200 --workers 2

DATA is a folder made by `mixopt data prepare` (`make demo` leaves one in demo/data). Run again with more steps, it
goes on from where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torchdata.stateful_dataloader import StatefulDataLoader
from transformers import GPT2Config, GPT2LMHeadModel

from mixopt.data.manifest import Manifest
from mixopt.online import OnlineMixture, sequence_losses, token_windows

LENGTH, BATCH, ACCUMULATE = 64, 8, 2


def main() -> None:
    """Train, from the checkpoint if there is one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--policy", default="ado")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--checkpoint", type=Path, default=Path("results/online_torch.pt"))
    args = parser.parse_args()

    torch.manual_seed(0)
    vocabulary = Manifest.load(args.data).vocab_size
    sizes = {"vocab_size": vocabulary, "n_positions": LENGTH, "n_embd": 64, "n_layer": 2, "n_head": 2}
    fixed = {
        **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
        "bos_token_id": None,
        "eos_token_id": None,
    }
    model = GPT2LMHeadModel(GPT2Config(**sizes, **fixed, use_cache=False))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)

    windows = token_windows(args.data, LENGTH)
    online = OnlineMixture(windows, args.policy, batch_size=BATCH, accumulate=ACCUMULATE, steps=args.steps)
    loader = StatefulDataLoader(online.dataset, batch_size=BATCH, num_workers=args.workers)
    parts = {"model": model, "optimizer": optimizer, "online": online, "loader": loader}
    if args.checkpoint.exists():
        saved = torch.load(args.checkpoint)
        for name, part in parts.items():
            part.load_state_dict(saved[name])

    for number, batch in enumerate(loader, start=1):
        logits = model(input_ids=batch["input_ids"][:, :-1]).logits
        sums, tokens = sequence_losses(logits, batch["labels"][:, 1:])
        (sums.sum() / tokens.sum() / ACCUMULATE).backward()
        online.observe(sums, tokens, batch["domain_id"])
        if number % ACCUMULATE == 0:
            optimizer.step()
            optimizer.zero_grad()
            done = online.step()
            if online.steps_done % max(1, args.steps // 10) == 0:
                cells = zip(online.domains, done.weights, done.losses, strict=True)
                print(f"step {online.steps_done}", *(f"{name} {w:.3f} ({loss:.2f})" for name, w, loss in cells))

    args.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    torch.save({name: part.state_dict() for name, part in parts.items()}, args.checkpoint)


if __name__ == "__main__":
    main()
