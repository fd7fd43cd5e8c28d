"""Makes the Auto classes know zoo models."""

from __future__ import annotations

from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from zoo.models.causal_lm import ZooForCausalLM
from zoo.models.configuration import ZooConfig
from zoo.models.skeleton import ZooForConditionalGeneration


def register() -> None:
    """Register ``model_type: zoo``; a second call changes nothing."""
    AutoConfig.register(ZooConfig.model_type, ZooConfig, exist_ok=True)
    AutoModelForSeq2SeqLM.register(ZooConfig, ZooForConditionalGeneration, exist_ok=True)
    AutoModelForCausalLM.register(ZooConfig, ZooForCausalLM, exist_ok=True)
