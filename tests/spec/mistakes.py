"""A corpus of wrong specs: what people get wrong, where the error must point, and what it must say."""

from __future__ import annotations

from dataclasses import dataclass

GOOD = """\
name: good
seed: 3
task: {use: translation, corpus: generated, source: qaa, target: qab}
tokenizer: {use: unigram, vocab_size: 200}
model:
  d_model: 32
  heads: 4
  encoder: {layers: 2}
  decoder: {layers: 2}
  position: sinusoidal
  block: post-norm
  normalization: layer-norm
  feedforward: {use: mlp, width: 64, activation: relu}
  fusion: top
  dropout: 0.1
training:
  steps: 5
  batch_tokens: 500
  objective: {use: label-smoothing, epsilon: 0.1}
  optimizer: {use: adamw, lr: 1e-3}
  schedule: {use: inverse-sqrt, warmup: 2}
  clipping: {use: norm, max_norm: 1.0}
evaluation:
  metrics: [bleu, chrf]
decoding: {strategy: greedy}
"""
MODEL = GOOD[GOOD.index("model:") : GOOD.index("training:")]
LANGUAGE_MODEL = MODEL.replace("  encoder: {layers: 2}\n", "  architecture: causal-lm\n").replace("  fusion: top\n", "")


@dataclass(frozen=True)
class Mistake:
    """`old` in GOOD becomes `new`; the error is at ``line:column`` and matches `says` (a regular expression)."""

    name: str
    old: str
    new: str
    place: str
    says: str


MISTAKES = [
    # names of keys
    Mistake("top-level typo", "seed: 3", "sed: 3", "2:1", "unknown key 'sed': did you mean 'seed'"),
    Mistake("model key typo", "  heads: 4", "  head: 4", "7:3", "unknown key 'head': did you mean 'heads'"),
    Mistake("nested key typo", "{layers: 2}\n  decoder", "{layer: 2}\n  decoder", "8:13", "did you mean 'layers'"),
    Mistake("option typo", "epsilon: 0.1", "epsilo: 0.1", "19:37", "unknown key 'epsilo': did you mean 'epsilon'"),
    Mistake("nested option typo", "activation: relu", "activaton: relu", "13:38", "did you mean 'activation'"),
    Mistake("option where there is none", "fusion: top", "fusion: {use: top, deep: 1}", "14:22", "no options here"),
    Mistake("key of another library", "  heads: 4", "  heads: 4\n  num_attention_heads: 4", "8:3", "unknown key"),
    Mistake("capitalised key", "seed: 3", "Seed: 3", "2:1", "did you mean 'seed'"),
    Mistake("number as key", "seed: 3", "3: 3", "2:1", "unknown key '3'"),
    Mistake("empty key", "seed: 3", "'': 3", "2:1", "unknown key ''"),
    # architectures
    Mistake("no encoder", "  encoder: {layers: 2}\n", "", "6:3", "missing key 'encoder'"),
    Mistake("no fusion", "  fusion: top\n", "", "6:3", "missing key 'fusion'"),
    Mistake(
        "unknown architecture",
        "  heads: 4",
        "  heads: 4\n  architecture: causal_lm",
        "8:17",
        "did you mean 'causal-lm'",
    ),
    Mistake(
        "encoder of a language model",
        MODEL,
        MODEL.replace("  fusion: top\n", "  architecture: causal-lm\n"),
        "8:3",
        "a causal-lm has no encoder: leave 'encoder' out",
    ),
    Mistake(
        "fusion of a language model",
        MODEL,
        MODEL.replace("  encoder: {layers: 2}\n", "  architecture: prefix-lm\n"),
        "14:3",
        "a prefix-lm has no fusion: leave 'fusion' out",
    ),
    Mistake(
        "half-tied language model",
        MODEL,
        LANGUAGE_MODEL + "  tie_embeddings: decoder\n",
        "15:19",
        "expected 'all' .one. or 'none'",
    ),
    Mistake(
        "two vocabularies of a language model",
        MODEL,
        "target_tokenizer: bpe\n" + LANGUAGE_MODEL,
        "5:1",
        "a causal-lm reads and writes with one vocabulary: leave 'target_tokenizer' out",
    ),
    Mistake(
        "source loss of an encoder-decoder",
        "  steps: 5",
        "  steps: 5\n  source_loss: true",
        "18:16",
        "predicts nothing",
    ),
    # separate vocabularies
    Mistake(
        "one matrix for two vocabularies",
        "model:\n",
        "target_tokenizer: bpe\nmodel:\n",
        "5:19",
        "set model.tie_embeddings to 'decoder' or 'none'",
    ),
    Mistake(
        "one matrix for two vocabularies, asked for",
        "model:\n",
        "target_tokenizer: bpe\nmodel:\n  tie_embeddings: all\n",
        "7:19",
        "set model.tie_embeddings to 'decoder' or 'none'",
    ),
    # keys that have moved
    Mistake(
        "the width of the beam where it stood once",
        "decoding: {strategy: greedy}",
        "decoding: {beams: 4, strategy: greedy}",
        "25:12",
        "the key 'beams' has moved: write decoding.strategy: {use: beam, width: N}",
    ),
    Mistake(
        "an output shorter than the shortest",
        "strategy: greedy",
        "strategy: {use: greedy, min_new_tokens: 9}, max_new_tokens: 8",
        "25:11",
        "min_new_tokens 9 is more than max_new_tokens 8",
    ),
    # missing keys
    Mistake("no name", "name: good\n", "", "1:1", "missing key 'name'"),
    Mistake("no task", "task: {use: translation, corpus: generated, source: qaa, target: qab}\n", "", "1:1", "'task'"),
    Mistake("no heads", "  heads: 4\n", "", "6:3", "missing key 'heads'"),
    Mistake("no position", "  position: sinusoidal\n", "", "6:3", "missing key 'position'"),
    Mistake("no steps", "  steps: 5\n", "", "17:3", "missing key 'steps'"),
    Mistake("no strategy", "{strategy: greedy}", "{batch_size: 2}", "25:11", "missing key 'strategy'"),
    Mistake("no metrics", "  metrics: [bleu, chrf]", "  split: dev", "24:3", "missing key 'metrics'"),
    Mistake("empty metrics", "[bleu, chrf]", "[]", "24:12", "at least 1 item"),
    Mistake(
        "model without a value",
        MODEL,
        "model:\n",
        "5:",
        "expected a mapping",
    ),
    Mistake("evaluation without a value", "evaluation:\n  metrics: [bleu, chrf]", "evaluation:", "23:", "mapping"),
    # values of the wrong type
    Mistake("text for a number", "heads: 4", "heads: four", "7:10", "expected a whole number, found the text 'four'"),
    Mistake("quoted number", "heads: 4", "heads: '4'", "7:10", "expected a whole number, found the text '4'"),
    Mistake("fraction for a count", "heads: 4", "heads: 4.5", "7:10", "expected a whole number"),
    Mistake("bool for a number", "heads: 4", "heads: true", "7:10", "expected a whole number, found true"),
    Mistake("list for a number", "heads: 4", "heads: [4]", "7:10", "expected a whole number, found a list"),
    Mistake("mapping for a number", "heads: 4", "heads: {n: 4}", "7:10", "expected a whole number, found a mapping"),
    Mistake("nothing for a number", "heads: 4", "heads:", "7:", "expected a whole number, found nothing"),
    Mistake("number for a name", "name: good", "name: 7", "1:7", "expected text, found 7"),
    Mistake("yes for a bool", "dropout: 0.1", "bias: yes", "15:9", "expected true or false, found the text 'yes'"),
    Mistake("text for a probability", "dropout: 0.1", "dropout: 10%", "15:12", "expected a number"),
    Mistake("comma for a point", "lr: 1e-3", "lr: '0,001'", "20:31", "expected a number, found the text '0,001'"),
    Mistake("number for a slot", "position: sinusoidal", "position: 3", "10:13", "expected the name of a position"),
    Mistake(
        "list for a slot", "position: sinusoidal", "position: [rotary]", "10:13", "expected the name of a position"
    ),
    Mistake("true for a slot", "position: sinusoidal", "position: true", "10:13", "expected the name of a position"),
    Mistake("nothing for a slot", "position: sinusoidal", "position:", "10:", "expected the name of a position"),
    Mistake(
        "text for a number or a list of them",
        "fusion: top",
        "fusion: {use: free-scalar, prior: high}",
        "14:37",
        "'prior': expected a number or a list, found the text 'high'",
    ),
    Mistake(
        "text in a list that might have been a number",
        "fusion: top",
        "fusion: {use: free-scalar, prior: [1, x, 2]}",
        "14:41",
        "this item: expected a number, found the text 'x'",
    ),
    Mistake("text for a list", "[bleu, chrf]", "bleu", "24:12", "expected a list"),
    Mistake("list for a section", "  encoder: {layers: 2}", "  encoder: [2]", "8:12", "expected a mapping"),
    Mistake("number for a section", "  encoder: {layers: 2}", "  encoder: 2", "8:12", "expected a mapping"),
    # values out of range
    Mistake("negative seed", "seed: 3", "seed: -3", "2:7", "at least 0"),
    Mistake("seed too large", "seed: 3", "seed: 99999999999", "2:7", "less than 4294967296"),
    Mistake("no layers", "{layers: 2}\n  decoder", "{layers: 0}\n  decoder", "8:21", "at least 1"),
    Mistake("dropout of one", "dropout: 0.1", "dropout: 1.0", "15:12", "less than 1"),
    Mistake("heads do not divide width", "heads: 4", "heads: 5", "6:3", "d_model 32 is not divisible by heads 5"),
    Mistake("negative learning rate", "lr: 1e-3", "lr: -1e-3", "20:31", "greater than"),
    Mistake("smoothing above one", "epsilon: 0.1", "epsilon: 1.5", "19:46", "less than"),
    Mistake("name with a slash", "name: good", "name: a/b", "1:7", "of the form"),
    Mistake("empty name", "name: good", "name: ''", "1:7", "at least 1 character"),
    Mistake("unknown split", "  metrics:", "  split: validation\n  metrics:", "24:10", "expected 'dev' or 'test'"),
    Mistake("unknown backend", "  dropout: 0.1", "  attention: spda", "15:14", "did you mean 'sdpa'"),
    # numbers that are none
    Mistake("infinity", "dropout: 0.1", "dropout: .inf", "15:12", "expected a finite number"),
    Mistake("nan", "dropout: 0.1", "dropout: .nan", "15:12", "expected a finite number"),
    Mistake("overflow", "lr: 1e-3", "lr: 1e999", "20:31", "expected a finite number"),
    Mistake("huge integer", "seed: 3", "seed: " + "9" * 5000, "2:7", "out of range"),
    # components
    Mistake("component typo", "sinusoidal", "sinusodial", "10:13", "did you mean 'sinusoidal'"),
    Mistake("component of another kind", "position: sinusoidal", "position: relu", "10:13", "unknown position 'relu'"),
    Mistake("dotted path", "sinusoidal", "os.system", "10:13", "unknown position 'os.system'"),
    Mistake("absent plugin", "sinusoidal", "zoo-absent/shaw", "10:13", "pip install zoo-absent"),
    Mistake("wrong plugin", "sinusoidal", "zoo-blocks/sinusoidal", "10:13", "unknown position 'zoo-blocks/sinusoidal'"),
    Mistake("mapping without use", "sinusoidal", "{base: 10000}", "10:13", "a mapping without 'use'"),
    Mistake("use is a list", "sinusoidal", "{use: [rotary]}", "10:19", "expected the name of a position"),
    Mistake("option of another component", "sinusoidal", "{use: none, base: 3}", "10:25", "unknown key 'base'"),
    Mistake("required option absent", ", target: qab", "", "3:7", "missing key 'target'"),
    Mistake("unknown metric", "[bleu, chrf]", "[bleu, rouge]", "24:19", "unknown metric 'rouge'"),
    Mistake("unknown corpus", "corpus: generated", "corpus: wmt14", "3:34", "unknown corpus 'wmt14'"),
    # YAML
    Mistake("tab", "  heads: 4", "\theads: 4", "7:1", "tab"),
    Mistake("key twice", "seed: 3", "seed: 3\nseed: 4", "3:1", "'seed' stands twice"),
    Mistake("unclosed bracket", "[bleu, chrf]", "[bleu, chrf", "", "not valid YAML"),
    Mistake("unclosed quote", "name: good", "name: 'good", "", "not valid YAML"),
    Mistake("two colons", "name: good", "name: good: better", "1:11", "second ':'"),
    Mistake("bad indentation", "  heads: 4", "   heads: 4", "7:", "not valid YAML|second ':'"),
    Mistake("python tag", "seed: 3", "seed: !!python/object/apply:os.system [id]", "2:7", "tag"),
    Mistake("custom tag", "seed: 3", "seed: !int 3", "2:7", "tag"),
    Mistake("merge key", "  heads: 4", "  <<: {heads: 4}", "7:3", "use 'extends:'"),
    Mistake("second document", "seed: 3", "---\nseed: 3", "2:1", "one YAML document"),
    Mistake("unknown alias", "seed: 3", "seed: *s", "2:7", "no anchor"),
    Mistake("alias in itself", "[bleu, chrf]", "&a [*a]", "24:", "inside its own anchor"),
    Mistake("mapping as key", "seed: 3", "? {a: 1}\n: 3", "2:3", "plain name as key"),
    Mistake("control character", "name: good", "name: go\x07od", "1:", "not allowed in YAML|not valid YAML"),
    Mistake("deep nesting", "seed: 3", "seed: " + "[" * 2000, "2:", "nested deeper"),
    Mistake("empty file", GOOD, "", "", "empty file"),
    Mistake("only a comment", GOOD, "# nothing\n", "", "empty file"),
    Mistake("a list at the top", GOOD, "- name: x\n", "1:1", "mapping of keys at the top"),
    Mistake("a word at the top", GOOD, "hello\n", "1:1", "mapping of keys at the top"),
    Mistake("JSON that is cut off", GOOD, '{"name": "x", ', "", "not valid YAML"),
    # extends and grid
    Mistake("extends nothing", "seed: 3", "extends: nowhere.yaml", "2:10", "no file 'nowhere.yaml'"),
    Mistake("extends itself", "seed: 3", "extends: spec.yaml", "2:10", "extends itself"),
    Mistake("extends a number", "seed: 3", "extends: 7", "2:10", "expected a file name"),
    Mistake("extends a folder", "seed: 3", "extends: .", "", "found a folder"),
    Mistake("grid is a list", "seed: 3", "grid: [1, 2]", "2:7", "expected a mapping of dotted paths"),
    Mistake("grid without values", "seed: 3", "grid: {seed: []}", "2:14", "list of values for 'seed'"),
    Mistake("grid of one value", "seed: 3", "grid: {seed: 1}", "2:14", "list of values for 'seed'"),
    Mistake("grid over an unknown key", "seed: 3", "grid: {model.hedas: [1]}", "2:22", "did you mean 'heads'"),
    Mistake("grid with a bad value", "seed: 3", "grid: {model.heads: [4, x]}", "2:25", "expected a whole number"),
    Mistake("grid over names", "seed: 3", "grid: {name: [a, b]}", "2:8", "cannot be varied"),
    Mistake("grid without labels", "seed: 3", "grid: {model: {}}", "2:15", "mapping of labels to values"),
    Mistake(
        "grid with a bad labelled value", "seed: 3", "grid: {model: {a: {hedas: 2}}}", "2:20", "did you mean 'heads'"
    ),
    Mistake("grid with twins", "seed: 3", "grid: {seed: [1, 1]}", "2:7", "two cells"),
    Mistake(
        "grid too large",
        "seed: 3",
        f"grid: {{seed: {list(range(200))}, model.heads: {list(range(200))}}}",
        "2:7",
        "cells",
    ),
    Mistake("lock of the future", GOOD, "zoo_lock: 2\nspec: {}\n", "1:11", "expected version 1"),
]
