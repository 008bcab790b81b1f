"""Mixtures in the formats of other trainers: a line of `FORMATS` each."""

from mixopt.export.base import Blend, Format, read_paths
from mixopt.plugins import Registry

FORMATS: Registry[Format] = Registry(
    "--to",
    "mixopt.exports",
    {
        "megatron-lm": "mixopt.export.megatron:MEGATRON_LM",
        "megatron-lm-split": "mixopt.export.megatron:MEGATRON_LM_SPLIT",
        "energon": "mixopt.export.megatron:ENERGON",
        "energon-epochs": "mixopt.export.megatron:ENERGON_EPOCHS",
        "olmo-core": "mixopt.export.yaml_formats:OLMO_CORE",
        "levanter": "mixopt.export.yaml_formats:LEVANTER",
        "mosaicml": "mixopt.export.yaml_formats:MOSAICML",
        "mosaicml-epochs": "mixopt.export.yaml_formats:MOSAICML_EPOCHS",
        "torchtitan": "mixopt.export.python_formats:TORCHTITAN",
        "litgpt": "mixopt.export.python_formats:LITGPT",
        "huggingface": "mixopt.export.python_formats:HUGGINGFACE",
    },
    Format,
)

__all__ = ["FORMATS", "Blend", "Format", "read_paths"]
