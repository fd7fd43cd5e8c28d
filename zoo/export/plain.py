"""Plain seq2seq models of transformers in folders on disk: as the host takes a model of the zoo.

Such a folder has a config.json, weights as safetensors, and a tokenizer; how it decodes is what its
generation_config.json says. Nothing of it is run, and nothing is unpickled.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig

from zoo.errors import InputError
from zoo.export.folder import LanguagesPart
from zoo.export.language_table import languages_of
from zoo.export.runtime.languages import pair_of
from zoo.models.base import IGNORED, shift_right
from zoo.models.configuration import ZooConfig
from zoo.models.decoding import Decoding
from zoo.models.tokenizers import Tokenizers
from zoo.spec.lock import LOCK_NAME
from zoo.spec.options import Options
from zoo.spec.pretrained.checkpoint import CONFIG, GENERATION, Checkpoint
from zoo.spec.sections import DecodingSection
from zoo.training.quiet import errors_only, quiet

MODEL_TYPES = ("marian", "bart", "mbart", "m2m_100", "t5", "mt5")
"""What config.json may call its model."""
BATCH_SIZE = 32
"""Sources at once, of which no generation_config.json says anything."""
ANY = 2**31 - 1
"""More tokens than any model has places for."""
_NEW_TOKENS = 20
"""What transformers' `generate` writes at most where nobody says how much."""

_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "do_sample": (None, False),
    "num_beam_groups": (None, 1),
    "num_return_sequences": (None, 1),
    "penalty_alpha": (None, 0, 0.0),
    "dola_layers": (None,),
    "encoder_no_repeat_ngram_size": (None, 0),
    "encoder_repetition_penalty": (None, 1.0),
    "sequence_bias": (None,),
    "begin_suppress_tokens": (None, []),
    "forced_decoder_ids": (None,),
    "exponential_decay_length_penalty": (None,),
    "force_words_ids": (None,),
    "constraints": (None,),
    "guidance_scale": (None, 1, 1.0),
    "watermarking_config": (None,),
    "stop_strings": (None,),
    "prompt_lookup_num_tokens": (None,),
    "max_time": (None,),
    "token_healing": (None, False),
}
"""Settings of a search that no runtime of exports has, with the values at which they do nothing."""


def is_plain(folder: Path) -> bool:
    """Whether `folder` has a model of transformers that is none of the zoo's."""
    if not (folder / CONFIG).is_file() or (folder / LOCK_NAME).is_file():
        return False
    return not str(Checkpoint(str(folder)).config().plain.get("model_type")).startswith(ZooConfig.model_type)


class GreedyOptions(Options):
    """A saved greedy search, in the words of `zoo.export.runtime.settings.Search`."""

    no_repeat_ngram: int = 0
    repetition_penalty: float = 1.0
    min_new_tokens: int = 0


class BeamOptions(GreedyOptions):
    """A saved beam search."""

    width: int
    length_penalty: float = 1.0
    early_stopping: bool = False
    renormalize: bool = False


@dataclass(frozen=True)
class SavedSearch:
    """How a saved model decodes, where a spec has a chosen strategy."""

    options: GreedyOptions

    @property
    def name(self) -> str:
        return "beam" if isinstance(self.options, BeamOptions) else "greedy"

    def create(self) -> Decoding:
        return _Saved(self.options)


class _Saved(Decoding):
    def settings(self) -> dict[str, Any]:
        names = {"width": "num_beams", "no_repeat_ngram": "no_repeat_ngram_size", "renormalize": "renormalize_logits"}
        return {names.get(name, name): value for name, value in self.options.model_dump().items()}


class PlainModel(nn.Module):
    """A seq2seq model of transformers with what is asked of a model of the zoo."""

    reads = "text"
    arrangement = "pair"
    writes_text = True
    finds_boxes = False
    reads_context = False
    log_probabilities = False
    several_starts = False
    """Whether the token that decoding begins with is that of the target's language."""

    def __init__(self, model: Any, longest_source: int | None) -> None:
        """`longest_source` is what its tokenizer says, in tokens."""
        super().__init__()
        self.model = model
        config = model.config
        decoder = model.get_decoder()
        heads = getattr(config, "decoder_attention_heads", None) or config.num_heads
        self.section = SimpleNamespace(
            architecture="encoder-decoder",
            decoder=decoder,
            decoder_layers=len(getattr(decoder, "layers", None) or decoder.block),
            heads=int(heads),
            head_dim=getattr(config, "d_kv", None),
            d_model=int(config.d_model),
        )
        self.generation_config = model.generation_config
        self.config = SimpleNamespace(
            vocab_size=int(model.get_output_embeddings().weight.shape[0]), **_special_tokens(model)
        )
        self._positions = getattr(config, "max_position_embeddings", None)
        limits = [limit for limit in (self._positions, longest_source) if limit is not None]
        self._longest_source = int(min(limits, default=ANY))

    @property
    def device(self) -> torch.device:
        return self.model.device  # type: ignore[no-any-return]

    def generate(self, **options: Any) -> Any:
        """transformers' own."""
        return self.model.generate(**options)

    def source_limit(self, new_tokens: int) -> int:
        return self._longest_source

    def output_limit(self, new_tokens: int) -> int:
        return new_tokens if self._positions is None else min(new_tokens, int(self._positions))

    def prompts(self, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(encoded)

    def written(self, sequences: Tensor, inputs: dict[str, Any]) -> Tensor:
        return sequences

    def target_logits(self, encoded: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        start, pad = self.config.decoder_start_token_id, self.config.pad_token_id
        before = shift_right(labels.masked_fill(labels == IGNORED, pad), start, pad)  # [B, T]
        logits: Tensor = self.model(**encoded, decoder_input_ids=before, use_cache=False).logits  # [B, T, V]
        return logits

    def refuse_search(self, settings: Mapping[str, Any]) -> None:
        """Its search is transformers' own."""


@dataclass(frozen=True)
class PlainRun:
    """What is read of such a folder: in the place of a `zoo.training.run.Run`, whose spec's parts it has."""

    folder: Path
    spec: Any
    model: Any
    tokenizers: Tokenizers
    languages: LanguagesPart | None = None
    """Those that can be chosen."""

    def speak(self, source: str | None, target: str | None) -> str:
        """Translate between these languages from now on, None being that of the folder; returns what must stand in
        front of each source. Raises InputError as `zoo.export.runtime.languages.pair_of`."""
        pair = pair_of(self.languages, source, target)
        if pair.source is not None:
            self.tokenizers.source.src_lang = source
        if pair.target is not None and self.languages is not None:
            generation = self.model.generation_config
            if self.languages.starts:
                generation.decoder_start_token_id = self.model.config.decoder_start_token_id = pair.target
            if self.languages.forces:
                generation.forced_bos_token_id = pair.target
        return pair.text

    def write_configuration(self, folder: Path) -> None:
        """Write what transformers reads of a model beside its weights into the folder of an export, unless the exporter
        has a file of that name."""
        for name in (CONFIG, GENERATION):
            if (self.folder / name).is_file() and not (folder / name).exists():
                shutil.copyfile(self.folder / name, folder / name)


@quiet()
@errors_only()
def load_plain(folder: Path) -> PlainRun:
    """Raises InputError where the folder has no seq2seq model that can be exported, weights in pickles alone, or a
    generation_config.json that asks for what no runtime of exports does."""
    checkpoint = Checkpoint(str(folder))
    found = checkpoint.config().plain.get("model_type")
    if found not in MODEL_TYPES:
        raise InputError(
            f"{CONFIG}: the model_type '{found}' is none of those that are exported: {', '.join(MODEL_TYPES)}",
            where=str(folder),
        )
    checkpoint.weights()
    try:
        model = AutoModelForSeq2SeqLM.from_pretrained(
            str(folder), use_safetensors=True, trust_remote_code=False, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        if getattr(error, "errno", None) is not None:
            raise
        text = " ".join(str(error).split())[:200]
        raise InputError(f"cannot be loaded ({type(error).__name__}: {text})", where=str(folder)) from error
    longest = tokenizer.model_max_length if tokenizer.model_max_length < ANY else None
    name = folder.resolve().name
    decoding = _decoding(model.generation_config, f"{folder}: {GENERATION}")
    plain = PlainModel(model, longest)
    _settle(model.generation_config)
    special = {"start": plain.config.decoder_start_token_id, "forced": model.generation_config.forced_bos_token_id}
    languages = languages_of(tokenizer, special, checkpoint.config().plain)
    plain.several_starts = languages is not None and languages.starts
    spec = SimpleNamespace(name=name, decoding=decoding, evaluation=SimpleNamespace(metrics=()))
    return PlainRun(folder, spec, plain, Tokenizers.of(tokenizer), languages)


def _special_tokens(model: Any) -> dict[str, int]:
    """Those that decoding needs, as transformers' `generate` takes them."""
    generation, config = model.generation_config, model.config

    def of(name: str) -> Any:
        value = getattr(generation, name, None)
        return getattr(config, name, None) if value is None else value

    end, start = of("eos_token_id"), of("decoder_start_token_id")
    if isinstance(end, (list, tuple)):
        if len(end) != 1:
            raise InputError(f"eos_token_id: an export has one end token, found {list(end)}")
        end = end[0]
    start = of("bos_token_id") if start is None else start
    padding = of("pad_token_id")
    missing = [name for name, value in (("eos_token_id", end), ("decoder_start_token_id", start)) if value is None]
    if missing:
        raise InputError(f"{CONFIG} and {GENERATION}: neither has a {missing[0]}")
    return {
        "eos_token_id": int(end),
        "decoder_start_token_id": int(start),
        "pad_token_id": int(end if padding is None else padding),
    }


def _decoding(generation: GenerationConfig, where: str) -> Any:
    """What is a spec's decoding section elsewhere."""
    for name, neutral in _NEUTRAL.items():
        value = getattr(generation, name, None)
        if value not in neutral:
            raise InputError(f"{name}: {value}: no runtime of exports decodes so; set it to {neutral[0]}", where=where)
    if generation.early_stopping not in (None, False, True):
        raise InputError(f"early_stopping: {generation.early_stopping}: expected true or false", where=where)
    if generation.diversity_penalty:
        raise InputError("diversity_penalty: no runtime of exports decodes so; set it to 0", where=where)
    width = generation.num_beams or 1
    options: dict[str, Any] = {
        "no_repeat_ngram": generation.no_repeat_ngram_size or 0,
        "repetition_penalty": generation.repetition_penalty or 1.0,
        "min_new_tokens": max(generation.min_new_tokens or 0, (generation.min_length or 0) - 1, 0),
    }
    search = GreedyOptions(**options)
    if width > 1:
        search = BeamOptions(
            **options,
            width=width,
            length_penalty=1.0 if generation.length_penalty is None else generation.length_penalty,
            early_stopping=bool(generation.early_stopping),
            renormalize=bool(generation.renormalize_logits),
        )
    longest = generation.max_new_tokens
    if longest is None and generation.max_length not in (None, GenerationConfig().max_length):
        longest = generation.max_length - 1  # the start token counts
    strategy: Any = SavedSearch(search)
    return DecodingSection.model_construct(
        strategy=strategy, max_new_tokens=max(1, longest or _NEW_TOKENS), batch_size=BATCH_SIZE
    )


def _settle(generation: GenerationConfig) -> None:
    """Take away what the options of the search say already, so that another search is not bound by it."""
    default = GenerationConfig()
    for name in ("min_length", "min_new_tokens", "max_length", "max_new_tokens", "renormalize_logits"):
        setattr(generation, name, getattr(default, name))
    suppressed = list(generation.suppress_tokens or [])
    generation.bad_words_ids = [*(generation.bad_words_ids or []), *([token] for token in suppressed)] or None
    generation.suppress_tokens = None
