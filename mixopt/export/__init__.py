"""Mixtures in the formats of other trainers: a line of `FORMATS` each."""

from mixopt.export import megatron, python_formats, yaml_formats
from mixopt.export.base import Blend, Format
from mixopt.export.paths import read_paths

FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        megatron.MEGATRON_LM,
        megatron.MEGATRON_LM_SPLIT,
        megatron.ENERGON,
        megatron.ENERGON_EPOCHS,
        yaml_formats.OLMO_CORE,
        yaml_formats.LEVANTER,
        yaml_formats.MOSAICML,
        yaml_formats.MOSAICML_EPOCHS,
        python_formats.TORCHTITAN,
        python_formats.LITGPT,
        python_formats.HUGGINGFACE,
    )
}

__all__ = ["FORMATS", "Blend", "Format", "read_paths"]
