"""The vocabularies of an export: CTranslate2 knows tokens by their texts, in the order of their ids."""

from __future__ import annotations

from typing import Any

from zoo.models.tokenizers import TargetMode


def register_vocabularies(spec: Any, model: Any, tokenizers: Any = None) -> None:
    """Give `spec` the tokens of both sides, and say which are special.

    Without tokenizers a token's text is its number. No text stands twice: an id that no token has, or one whose text
    another has, gets a text of its own.
    """
    config = model.config
    (source_size,), target_size = spec.get_source_vocabulary_size(), spec.get_target_vocabulary_size()
    if tokenizers is None:
        source, target = ([str(place) for place in range(size)] for size in (source_size, target_size))
    else:
        source = texts_of(tokenizers.source, source_size)
        apart = bool(getattr(tokenizers.source, "separate_vocabs", False))  # of Marian's, which is one for both
        alike = tokenizers.shared and source_size == target_size and not apart
        target = source if alike else texts_of(tokenizers.target, target_size)
    spec.register_source_vocabulary(source)
    spec.register_target_vocabulary(target)
    start, end, padding = (
        target[int(place)] for place in (config.decoder_start_token_id, config.eos_token_id, config.pad_token_id)
    )
    unknown = None if tokenizers is None else tokenizers.target.unk_token_id
    spec.config.bos_token = start
    # Without one, CTranslate2 takes the first of what it is told to begin with.
    spec.config.decoder_start_token = None if getattr(model, "several_starts", False) else start
    spec.config.eos_token = end
    # One that is in the vocabulary: another would be added to it.
    spec.config.unk_token = padding if unknown is None else target[int(unknown)]


def texts_of(tokenizer: Any, size: int) -> list[str]:
    """The texts of the tokens 0 to `size` - 1, each another."""
    if isinstance(tokenizer, TargetMode) and getattr(tokenizer, "separate_vocabs", False):
        names = {place: text for text, place in tokenizer.target_encoder.items()}
        texts = [names.get(place) for place in range(size)]
    else:
        named = min(size, len(tokenizer))
        texts = [*tokenizer.convert_ids_to_tokens(list(range(named))), *[None] * (size - named)]
    taken = {text for text in texts if text is not None}
    found: list[str] = []
    seen: set[str] = set()
    for place, text in enumerate(texts):
        if text is None or text in seen:
            text = f"<id {place}>"
            while text in taken or text in seen:
                text = f"<{text}>"
        seen.add(text)
        found.append(text)
    return found
