"""Runs exported encoder-decoders with onnxruntime or CTranslate2, numpy and tokenizers: nothing here imports torch or
transformers.

``load(folder).translate(texts)`` gives what the model's own decoding gives in torch, greedy or by beams.
"""

from zoo.export.runtime.translator import Translator, load

__all__ = ["Translator", "load"]
