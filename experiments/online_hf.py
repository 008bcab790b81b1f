"""An online mixture in Hugging Face's Trainer, on one process or several, resumable.

    python experiments/online_hf.py DATA --steps 200
    accelerate launch --multi_gpu --num_processes 2 experiments/online_hf.py DATA --steps 200
    python experiments/online_hf.py DATA --steps 200 --resume

DATA is a folder made by `mixopt data prepare` (`make demo` leaves one in demo/data).
Without GPUs, `--multi_gpu` starts processes on the CPU.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from mixopt.data.manifest import Manifest
from mixopt.online import token_windows
from mixopt.online.hf import OnlineCallback

LENGTH = 64


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=8, help="sequences of a process in a pass")
    parser.add_argument("--policy", default="ado")
    parser.add_argument("--out", type=Path, default=Path("results/online_hf"))
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()

    vocabulary = Manifest.load(args.data).vocab_size
    sizes = {"vocab_size": vocabulary, "n_positions": LENGTH + 1, "n_embd": 64, "n_layer": 2, "n_head": 2}
    fixed = {
        **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
        "bos_token_id": None,
        "eos_token_id": None,
    }
    arguments = TrainingArguments(
        output_dir=str(args.out),
        max_steps=args.steps,
        per_device_train_batch_size=args.batch,
        gradient_accumulation_steps=2,
        learning_rate=2e-3,
        logging_steps=max(1, args.steps // 10),
        save_steps=max(1, args.steps // 4),
        report_to="none",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    trainer = Trainer(model_init=lambda: GPT2LMHeadModel(GPT2Config(**sizes, **fixed)), args=arguments)
    datasets = token_windows(args.data, LENGTH)
    OnlineCallback(datasets, policy=args.policy).attach(trainer)
    trainer.train(resume_from_checkpoint=args.resume)


if __name__ == "__main__":
    main()
