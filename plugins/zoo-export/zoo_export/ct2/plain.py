"""A plain seq2seq model of transformers as CTranslate2's specification, by CTranslate2's own converter."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ctranslate2.converters import transformers as converters

from zoo.errors import InputError
from zoo.export.plain import PlainModel

_NORMS: Mapping[str, dict[str, bool]] = {
    "marian": {"normalize_before": False, "normalize_embedding": False},
    "bart": {"normalize_before": False, "normalize_embedding": True},
    "mbart": {"normalize_before": True, "normalize_embedding": True},
    "m2m_100": {"normalize_before": True, "normalize_embedding": False},
}
"""Where models of BART's build normalise: before sublayers, and embeddings."""


def specification_of(model: PlainModel) -> Any:
    """The specification, with weights of its own and without vocabularies.

    Every token has its id, Marian's padding too, which the converter's own class for it leaves out. Raises InputError
    where CTranslate2 has no such model.
    """
    plain: Any = copy.deepcopy(model.model)  # the converter shares weights, which are quantized in place
    kind = str(plain.config.model_type)
    if kind in _NORMS:
        plain.config.update(_NORMS[kind])
        loader = converters.M2M100Loader() if kind == "m2m_100" else converters.BartLoader()
    else:
        loader = converters.T5Loader()
    try:
        spec = loader.get_model_spec(plain)
    except (AttributeError, KeyError, NotImplementedError, ValueError) as error:
        text = " ".join(str(error).split())[:200]
        raise InputError(f"CTranslate2 has nothing like this {kind} ({type(error).__name__}: {text})") from error
    if kind not in _NORMS:
        spec.config.layer_norm_epsilon = float(plain.config.layer_norm_epsilon)
    return spec
