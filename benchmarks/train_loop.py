r"""Training speed against a plain PyTorch loop and the Hugging Face Trainer: same model, batch, optimiser, machine.

    python benchmarks/train_loop.py --data demo/data [--model gpt2-0.4m] [--tokens 100k] [--rounds 5]
    python benchmarks/train_loop.py --data demo/data --model gpt2-124m --vocabulary 50257 --batch-tokens 65536 \
        --tokens 20M --device cuda --compile --peak-tflops 989

The three take turns in each round, so that a machine that slows down slows all of them; the ratios are medians over
rounds. Evaluation and checkpoints are left out of all three. On a GPU, `--compile` compiles all three models.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from mixopt.data.manifest import Manifest
from mixopt.data.sampler import MixtureSampler
from mixopt.data.tokens import TokenData
from mixopt.models.build import build_model
from mixopt.presets import model_spec
from mixopt.spec import DataSpec, EvalSpec, OptimSpec, PolicySpec, RunSpec, whole_batches
from mixopt.train.device import Runtime
from mixopt.train.learner import learning_rate, make_adamw
from mixopt.train.loop import train
from mixopt.units import parse_count


def mixopt_loop(spec: RunSpec, runtime: Runtime) -> float:
    """Seconds in mixopt's own loop."""
    return train(spec, runtime).train_seconds


def plain_loop(spec: RunSpec, runtime: Runtime) -> float:
    """Seconds of the plainest loop: one token array shuffled once, model, loss, step; no domains, no curve."""
    torch.set_num_threads(runtime.threads)
    batches, model = _shuffled_batches(spec, runtime), build_model(spec.model, spec.seed)
    torch.nn.Module.to(model, runtime.device)
    optimizer = make_adamw(model, spec.optim)
    forward = torch.compile(model) if runtime.compile else model
    begun = time.perf_counter()
    for step in range(spec.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(spec.optim, step, spec.steps)
        batch = torch.from_numpy(batches[step].astype(np.int64)).to(runtime.device)
        with torch.autocast(runtime.device, dtype=torch.bfloat16, enabled=runtime.device == "cuda"):
            logits = forward(input_ids=batch[:, :-1], use_cache=False).logits
        functional.cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), spec.optim.grad_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    if runtime.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def hugging_face_trainer(spec: RunSpec, runtime: Runtime) -> float:
    """Seconds of `transformers.Trainer.train` (what AutoScale's published code uses), its set-up included."""
    from transformers import Trainer, TrainingArguments

    torch.set_num_threads(runtime.threads)
    rows = _shuffled_batches(spec, runtime).reshape(-1, spec.sequence_length + 1)[:, :-1]
    dataset = [{"input_ids": (ids := torch.from_numpy(row.astype(np.int64))), "labels": ids} for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=spec.batch_sequences,
            max_steps=spec.steps,
            learning_rate=spec.optim.lr,
            weight_decay=spec.optim.weight_decay,
            lr_scheduler_type="cosine",
            warmup_steps=round(spec.optim.warmup * spec.steps),
            max_grad_norm=spec.optim.grad_clip,
            optim="adamw_torch_fused",
            bf16=runtime.device == "cuda",
            use_cpu=runtime.device == "cpu",
            torch_compile=runtime.compile,
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        trainer = Trainer(model=build_model(spec.model, spec.seed), args=arguments, train_dataset=dataset)
        begun = time.perf_counter()
        trainer.train()
        return time.perf_counter() - begun


def _shuffled_batches(spec: RunSpec, runtime: Runtime) -> np.ndarray:
    """All batches of the run in memory, shape (steps, B, L + 1), so that the plain loop pays for no sampling."""
    data = TokenData.open(runtime.data_dir)
    sampler = MixtureSampler(data.train_sequences(spec.sequence_length), spec.seed, spec.data.domains)
    domains, windows = sampler.next_batch(spec.mixture.array, spec.steps * spec.batch_sequences)
    rows = data.batch("train", domains, windows, spec.sequence_length)
    return rows.astype(np.uint32).reshape(spec.steps, spec.batch_sequences, -1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a folder of prepared data, such as the demo's")
    parser.add_argument("--model", default="gpt2-0.4m")
    parser.add_argument("--tokens", default="100k")
    parser.add_argument("--batch-tokens", type=int, default=512)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--vocabulary", type=int, help="of the model, if larger than the data's (GPT-2: 50257)")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--peak-tflops", type=float, help="of the chip, for the share of it that is used (MFU)")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    manifest = Manifest.load(options.data)
    model = model_spec(options.model, options.vocabulary or manifest.vocab_size)
    batch_tokens = max(options.batch_tokens, model.context)
    share = 1 / len(manifest.domain_names)
    spec = RunSpec(
        model=model,
        data=DataSpec(fingerprint=manifest.fingerprint, domains=manifest.domain_names),
        policy=PolicySpec(weights=(share,) * len(manifest.domain_names)),
        optim=OptimSpec(lr=1e-3, batch_tokens=batch_tokens),
        evaluation=EvalSpec(points=1, tokens_per_domain=model.context),
        tokens=whole_batches(parse_count(options.tokens), batch_tokens),
        sequence_length=model.context,
    )
    runtime = Runtime(data_dir=options.data, device=options.device, threads=options.threads, compile=options.compile)
    _compare(spec, runtime, options.rounds, options.peak_tflops)


def _compare(spec: RunSpec, runtime: Runtime, rounds: int, peak_tflops: float | None) -> None:
    contenders = {"mixopt": mixopt_loop, "plain PyTorch": plain_loop, "Hugging Face Trainer": hugging_face_trainer}
    warm_up = replace(spec, tokens=10 * spec.optim.batch_tokens)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for contender in contenders.values():
        contender(warm_up, runtime)
    for _ in range(rounds):
        for name, contender in contenders.items():
            seconds[name].append(contender(spec, runtime))
    for name, times in seconds.items():
        ratios = [other / ours for ours, other in zip(seconds["mixopt"], times, strict=True)]
        speed = spec.tokens / statistics.median(times)
        tflops = speed * spec.model.flops_per_token(spec.sequence_length) / 1e12
        used = f", MFU {tflops / peak_tflops:.1%}" if peak_tflops else ""
        print(
            f"{name:22s} {speed:10,.0f} tokens/s, {tflops:.3g} TFLOP/s{used} (median of {rounds})   "
            f"mixopt's speed relative to it {statistics.median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}]"
        )
    print(f"{spec.model.parameters:,} parameters, {spec.tokens:,} tokens, {runtime.device} x{runtime.threads}")


if __name__ == "__main__":
    main()
