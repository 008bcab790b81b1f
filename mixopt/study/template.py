"""The commented study file that `mixopt init` writes; as it stands it holds the defaults.

The section of the method is made from its settings, so that it lists all that there are.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from mixopt.errors import ConfigError
from mixopt.methods.registry import method_named
from mixopt.methods.settings import told

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_TEMPLATE = """\
# A mixopt study: what to train on what, where. Flags override it; it is run by
#   mixopt {command}
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

{method}
policy:                        # of `mixopt ado-train`
  name: ado                    # `mixopt ado-train --help` lists them; or module:Class
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
  to: []                       # trackers that show each finished run, such as tensorboard; or module:Class
  project: mixopt              # project of wandb, experiment of MLflow
  dir: null                    # where their files go; null: results/tracking

results: results               # folder of the results table
"""


def template(method: str, path: str | Path = "THIS_FILE") -> str:
    """The study file of a method, with every option that it has.

    Raises:
        ConfigError: there is no such method.
    """
    owner = method_named(method, "--method")
    fields = {name: field for name, field in owner.Settings.model_fields.items() if name != "name"}
    lines = [_line("name", method, "the method; a command of its own sets it")]
    lines += [_line(name, value_of(field), field.description or "") for name, field in fields.items()]
    section = "\n".join(["method:", *lines, ""])
    command, _, options = owner.command_line.partition(" ")
    # Not `format`: the file's own braces stay.
    filled = _TEMPLATE.replace("{method}", section)
    return filled.replace("{command}", " ".join(filter(None, (command, str(path), options))))


def _line(name: str, value: str, text: str) -> str:
    return f"  {f'{name}: {value}':<28} # {text}".rstrip()


def value_of(field: FieldInfo) -> str:
    """The default, as the file has it; what None stands for is in the field's text."""
    if told(field).example and field.default is not None:
        return told(field).example
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    return yaml.safe_dump(value, default_flow_style=True).replace("\n...", "").strip()


def write_template(path: str | Path, method: str = "ddo") -> Path:
    """Write the study file of a method to `path`, which must not exist.

    Raises:
        ConfigError: there is such a file, it cannot be written, or there is no such method.
    """
    content = template(method, path)
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
            file.write(content)
    except OSError as error:  # a full disk, say: a part of the file would only be in the way
        path.unlink(missing_ok=True)
        raise ConfigError(
            f"{path}: cannot be written ({error.strerror}); make room or give another name"
        ) from error
    return path
