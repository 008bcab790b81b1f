"""The commented study file that `mixopt init` writes; as it stands it holds the defaults."""

from __future__ import annotations

import os
from pathlib import Path

from mixopt.errors import ConfigError

TEMPLATE = """\
# A mixopt study: what to train on what, where. `mixopt ddo THIS_FILE` runs it; flags override it.
# Counts may be written 800k, 10M, 1.2B. `null` means: choose what suits the rest.

data:
  dir: data                    # folder that `mixopt data prepare` made
  unique_tokens: null          # {DOMAIN: 2M}: proxies see no more distinct tokens of it, and repeat them
  eval_only: []                # domains that are measured and not trained on
  expected: null               # {DOMAIN: 10B}: what --dry-run counts with until the folder is there

model:
  preset: gpt2-0.4m            # gpt2-0.2m … gpt2-774m, llama-0.4m … llama-1.3b, bert-nano … bert-base
  # Any field of the preset can be changed:
  # layers: 6
  # width: 128
  # heads: 4
  # context: 256

training:
  tokens: 800k                 # of the base run
  sequence_length: null        # null: the model's context
  batch_tokens: null           # tokens of one optimiser step; null: by model size
  lr: null                     # peak learning rate; null: by model size
  schedule: cosine             # cosine or linear, to final_lr over the run's own tokens
  warmup: 0.1                  # share of the run's tokens
  final_lr: 0.1                # share of the peak
  beta1: 0.9
  beta2: 0.95
  epsilon: 1.0e-8
  weight_decay: 0.1
  grad_clip: 1.0               # 0: none
  whole_word: false            # masked models (bert-…): mask whole words
  max_epochs: 4                # no run, and no recommendation, repeats a domain more often

evaluation:
  tokens_per_domain: 16384     # validation tokens behind a final loss
  points: 5                    # evaluations in a run, the last one included
  point_tokens_per_domain: 2048
  tasks: []                    # downstream tasks of every trained model, such as [offline]; docs/evaluation.md
  task_limit: null             # most items of each task

method:
  name: ddo                    # set by the command: ddo, autoscale, doremi, grid, or a search's --method
  factors: [1/3, 3]            # each domain's tokens are multiplied by these, one run each
  perturb: add                 # add: the total changes; replace: the total is held
  objective: mean_ppl          # mean_ppl, mean_loss, worst, task:NAME, downstream or weighted:FILE
  fit: lines                   # ddo: a law of each domain's own runs (lines), or laws of all runs (joint)
  preset: default              # default, paper or official: how the laws are fitted
  seeds: 1                     # repeats of every run, which measure the noise; adso: its runs take turns with them
  reference: null              # base mixture: uniform, natural or a YAML file; null: uniform (doremi: natural)
  floor: null                  # least weight of a domain: 0.02, or 0.2x of uniform; null: the least that was tested
  verify_seeds: 3              # repeats of each mixture that --verify trains
  target_tokens: null          # tokens of the final training: autoscale's target; ddo: for the cap on epochs
  scales: null                 # autoscale: [200k, 800k]; null: a quarter of training.tokens, and training.tokens
  predictor: auto              # autoscale: geometric, joint, or auto: the better one on what it has not seen
  match_epochs: false          # autoscale: let proxies repeat each domain as often as the target will
  eta: 1.0                     # doremi: rate of the domain weights; 0.1 where they collapse
  smoothing: 1.0e-3            # doremi: share of the uniform distribution in every weight
  sampling: uniform            # doremi: the mixture that the proxy draws, uniform, natural or a file
  rounds: null                 # doremi: most rounds; null: 1 from natural, else until it converges, at most 3
  runs: null                   # search: mixtures to train; grid: at most; null: four a domain, 16 or more
  design: null                 # search: dirichlet, two-level, sobol, lattice; null: by whether there are groups
  strengths: [0.1, 5]          # dirichlet: from mixtures of a few domains to ones near the natural shares
  temperature: 0.5             # dirichlet: power of the natural shares; 1: as they are, 0: uniform
  step: null                   # grid: step of the weights, such as 0.1, in place of runs
  groups: null                 # two-level: {SOURCE: [DOMAIN, DOMAIN]}
  regressor: null              # grid, random: a law that chooses, such as auto; null: the best measured mixture
  kl: 0                        # search: pull towards the natural mixture, in spreads of the objective; Olmix: 0.05
  pareto: null                 # search: two objectives to trade off, such as [mean_loss, worst]
  extend: null                 # search: a finished study whose mixture is kept while domains are added
  confirm: 0                   # search: best predictions to run at the target; the best measured is the answer
  sizes: null                  # adso: models to train at, such as [gpt2-0.2m, gpt2-0.4m]; the largest is the target
  budget: 10                   # adso: most to spend, in runs at the target
  batch: 1                     # adso: runs asked for at once
  guard: 0.5                   # adso: for so much spent on cheap runs, in target runs, the target is run once
  tolerance: 0                 # adso: stop when no run promises to lower the objective by this share of it

policy:                        # of `mixopt ado-train`
  name: ado                    # ado, odm, static, schedule or custom
  prior: natural               # uniform, natural, a YAML file of weights or a published name
  options: {}                  # the policy's own, such as {preset: paper, s: 1}; docs/ado.md has them all

executor:
  kind: ray                    # ray, or inline: one run at a time in this process
  ray_address: null            # null: this machine; host:port: a cluster
  cpus_per_run: 1
  gpus_per_run: null           # fractions allowed (0.25); null: one where there are GPUs
  processes_per_run: 1         # more: data-parallel; each process then gets cpus_per_run and gpus_per_run
  sharding: none               # none: the model whole in each process (DDP); fsdp: split over them (FSDP2)
  workers: null                # most runs at once; null: as many as fit
  device: auto                 # auto, cpu or cuda
  precision: auto              # auto: bfloat16 on a GPU, float32 on a CPU
  compile: false               # torch.compile
  micro_batch: null            # sequences in one forward pass; null: the whole batch
  checkpoint_seconds: 60
  keep_checkpoints: false      # keep every trained model, for from_pretrained: results/checkpoints/RUN/final
  gpu: null                    # A100, H100 …: --dry-run counts GPU hours from FLOPs; null: it times this machine
  mfu: 0.4                     # the share of the GPU's peak FLOP/s that training reaches, for that count

tracking:
  to: []                       # tensorboard, wandb, mlflow: each finished run is shown there
  project: mixopt              # project of wandb, experiment of MLflow
  dir: null                    # where their files go; null: results/tracking

results: results               # folder of the results table
"""


def write_template(path: str | Path) -> Path:
    """Write the template to `path`, which must not exist.

    Raises:
        ConfigError: there is such a file, or it cannot be written.
    """
    path = Path(path)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError as error:
        raise ConfigError(
            f"{path}: there is such a file already; it was left as it is, give another name"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}); give another name") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except OSError as error:  # a full disk, say: a part of the file would only be in the way
        path.unlink(missing_ok=True)
        raise ConfigError(
            f"{path}: cannot be written ({error.strerror}); make room or give another name"
        ) from error
    return path
