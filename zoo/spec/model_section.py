"""The section `model` of a spec. Component slots have no defaults here: the core names no component."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    model_validator,
)
from pydantic_core import InitErrorDetails

from zoo.spec import image_section
from zoo.spec.explain import error_at
from zoo.spec.image_section import ImageSection, schema_of_images
from zoo.spec.options import Chosen, Options, Slot
from zoo.spec.pixel_section import PixelSection
from zoo.spec.positions import position_places
from zoo.spec.pretrained.section import PretrainedSection
from zoo.spec.pretrained.zoo_folder import ZOO
from zoo.spec.ranges import Probability

Position = Annotated[Chosen, Slot("position")]
Architecture = Literal[
    "encoder-decoder", "causal-lm", "prefix-lm", "image-to-text", "image-ctc", "detector", "generator"
]


class StackSection(Options):
    """One stack of layers: the encoder, the decoder, or a language model's only one."""

    layers: int = Field(ge=1, le=1000, description="Number of layers")
    position: Position | None = Field(
        default=None, description="Position scheme of this stack; model.position where absent"
    )


class DecoderSection(StackSection):
    """The decoder: a stack with attention to the memory."""

    cross_position: Position | None = Field(
        default=None,
        description="Position scheme of cross-attention, which places target tokens and source tokens; none where "
        "absent. It must act in attention alone",
    )

    @model_validator(mode="after")
    def _cross_position_acts_in_attention(self) -> DecoderSection:
        chosen = self.cross_position
        if chosen is not None and "embedding" in position_places(chosen):
            message = (
                f"'{chosen.name}' adds positions to embeddings, and cross-attention has none of its own: "
                "choose a scheme that acts in attention alone (zoo list position)"
            )
            raise ValidationError.from_exception_data(
                "DecoderSection", [error_at(("cross_position",), message, chosen.id)]
            )
        return self


_PRESENT: dict[str, Any] = {"not": {"type": "null"}}
_OWN_START: dict[str, Any] = {"anyOf": [{"type": "null"}, {"properties": {"type": {"const": ZOO}}}]}
"""Begins with a model of zoo's, if with any: no other library's is read into this skeleton."""
_BY_ARCHITECTURE: dict[str, Any] = {
    # What an architecture must have and cannot: said here once for loader and schema. Without the key it is the first.
    # Detectors and generators have schemas of their own.
    "allOf": [{"properties": {name: {"type": "null"} for name in ("detector", "pixels", "generator")}}],
    "if": {"properties": {"architecture": {"const": "encoder-decoder"}}},
    "then": {
        "required": ["encoder", "decoder", "position", "fusion"],
        "properties": {"decoder": _PRESENT, "position": _PRESENT, "image": {"type": "null"}},
    },
    "else": {
        "if": {"properties": {"architecture": {"enum": ["causal-lm", "prefix-lm"]}}},
        "then": {
            "required": ["decoder", "position"],
            "properties": {
                "encoder": {"type": "null"},
                "fusion": {"type": "null"},
                "output_fusion": {"type": "null"},
                "context_encoder": {"type": "null"},
                "decoder": {**_PRESENT, "properties": {"cross_position": {"type": "null"}}},
                "position": _PRESENT,
                "tie_embeddings": {"enum": ["all", "none"]},
                "scale_output": {"const": False},
                "output_bias": {"const": False},
                "pretrained": _OWN_START,
                "image": {"type": "null"},
            },
        },
        "else": schema_of_images(_OWN_START),
    },
}
_OF_LANGUAGE_MODELS: dict[str, tuple[str, ...]] = {
    "lacks": (
        "encoder",
        "fusion",
        "output_fusion",
        "context_encoder",
        "scale_output",
        "output_bias",
        "image",
    ),
    "needs": ("decoder", "position"),
}
_LACKS: dict[str, tuple[str, ...]] = {
    "encoder-decoder": ("image",),
    "causal-lm": _OF_LANGUAGE_MODELS["lacks"],
    "prefix-lm": _OF_LANGUAGE_MODELS["lacks"],
    **image_section.LACKS,
}
_NEEDS: dict[str, tuple[str, ...]] = {
    "encoder-decoder": ("encoder", "decoder", "position", "fusion"),
    "causal-lm": _OF_LANGUAGE_MODELS["needs"],
    "prefix-lm": _OF_LANGUAGE_MODELS["needs"],
    **image_section.NEEDS,
}


class ModelSection(Options):
    """What is assembled."""

    model_config = ConfigDict(json_schema_extra=_BY_ARCHITECTURE)
    later: ClassVar[frozenset[str]] = frozenset(
        {"detector", "generator", "head_dropout", "image", "pixels", "word_dropout"}
    )

    architecture: Architecture = Field(
        default="encoder-decoder",
        description="Skeleton: an encoder and a decoder; or one stack that reads the source and goes on with the "
        "target, where each token sees what stands before it (causal-lm), and the source sees itself in both "
        "directions (prefix-lm); an encoder of images and a decoder (image-to-text), or a CTC head (image-ctc); or a "
        "detector of boxes in images, which has the keys detector and pixels alone (detector); or a generator of "
        "images, which has the key generator alone (generator)",
    )
    d_model: int = Field(ge=1, le=65536, description="Width D of the residual stream")
    heads: int = Field(
        ge=1, le=1024, description="Attention heads H; D must be divisible by H, unless head_dim is given"
    )
    head_dim: int | None = Field(default=None, ge=1, le=65536, description="Width Dh of a head; D / H where absent")
    encoder: StackSection | None = Field(default=None, description="Encoder stack; a language model has none")
    decoder: DecoderSection | None = Field(
        default=None, description="Decoder stack; the only one of a language model; an image-ctc has none"
    )
    position: Position | None = Field(default=None, description="Position scheme of the stacks that read or write text")
    image: ImageSection | None = Field(
        default=None, description="Images, for an encoder that reads them (image-to-text, image-ctc)"
    )
    detector: Annotated[Chosen, Slot("detector")] | None = Field(
        default=None, description="What finds boxes in images, of the architecture detector"
    )
    pixels: PixelSection | None = Field(default=None, description="What a detector sees of an image")
    generator: Annotated[Chosen, Slot("generator")] | None = Field(
        default=None, description="What makes images from noise, of the architecture generator"
    )
    block: Annotated[Chosen, Slot("block")] = Field(description="Where residual connections and normalisations stand")
    normalization: Annotated[Chosen, Slot("normalization")] = Field(description="Normalisation layer")
    feedforward: Annotated[Chosen, Slot("feedforward")] = Field(description="Feed-forward layer")
    initialization: Annotated[Chosen, Slot("initialization")] | None = Field(
        default=None,
        description="Initial weights of the layers' matrices; where absent, each component initialises itself "
        "(Xavier uniform in ours)",
    )
    fusion: Annotated[Chosen, Slot("fusion")] | None = Field(
        default=None, description="What cross-attention reads from the encoder's layers, in an encoder-decoder"
    )
    output_fusion: Annotated[Chosen, Slot("output-fusion")] | None = Field(
        default=None, description="What the source adds to the scores of the next token; nothing where absent"
    )
    context_encoder: Annotated[Chosen, Slot("context-encoder")] | None = Field(
        default=None, description="Second encoder, for a task with a second input (context); none where absent"
    )
    dropout: Probability = Field(default=0.1, description="Dropout on embeddings and on each sublayer's output")
    attention_dropout: Probability = Field(default=0.0, description="Dropout on attention weights")
    head_dropout: Probability = Field(
        default=0.0, description="Share of attention heads that are left out of an example in training (DropHead)"
    )
    word_dropout: Probability = Field(
        default=0.0, description="Share of tokens whose embedding is left out in training; their positions stay"
    )
    bias: bool = Field(default=True, description="Bias terms in the attention projections")
    scale_embeddings: bool = Field(
        default=True, description="Multiply token embeddings by sqrt(D) (Vaswani et al. 2017, section 3.4)"
    )
    embedding_norm: bool = Field(
        default=False, description="Normalise embeddings, with their positions, before the first layer (BART)"
    )
    scale_output: bool = Field(
        default=False, description="Multiply by D^-0.5 what the output matrix reads (T5 1.0, whose output is tied)"
    )
    output_bias: bool = Field(
        default=False, description="A bias on the logits, zero unless it is read from a pretrained model; not trained"
    )
    tie_embeddings: Literal["all", "decoder", "inputs", "none"] = Field(
        default="all",
        description="Which matrices are one: source, target and output (all), target and output (decoder), source and "
        "target (inputs), none; a language model's input and output (all), or none",
    )
    max_positions: int = Field(
        default=512, ge=1, le=1_000_000, description="Longest sequence, in tokens, that tables are made for"
    )
    attention: Literal["auto", "sdpa", "flex", "eager"] = Field(
        default="auto",
        description="Attention backend; auto: FlexAttention on CUDA where the position scheme lowers to it, else SDPA",
    )
    embedding_std: float | None = Field(
        default=None, gt=0, description="Standard deviation of initial token embeddings; D^-0.5 where absent"
    )
    pretrained: PretrainedSection | None = Field(
        default=None,
        description="The pretrained model whose weights are the initial ones: written by resolving 'from'",
    )

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_architecture(cls, data: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        """A detector has a section of its own, and a generator."""
        architecture = architecture_of(data) if cls is ModelSection else None
        if architecture == "detector":
            from zoo.spec.detection_spec import DetectorModel

            return DetectorModel.model_validate(data, context=info.context)
        if architecture == "generator":
            from zoo.spec.generator_spec import GeneratorModel

            return GeneratorModel.model_validate(data, context=info.context)
        return handler(data)

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelSection:
        if self.writes_text and self.head_dim is None and self.d_model % self.heads:
            raise ValueError(f"d_model {self.d_model} is not divisible by heads {self.heads}")
        return self

    @model_validator(mode="after")
    def _parts_of_the_architecture(self) -> ModelSection:
        if not self.writes_text:
            return self  # it has been through its own section's
        details = [self._absent(name) for name in _NEEDS[self.architecture] if getattr(self, name) is None]
        article = "an" if self.architecture.startswith(("e", "i")) else "a"
        a_model = f"{article} {self.architecture}"
        lacks = (*_LACKS[self.architecture], "detector", "pixels", "generator")
        found = [name for name in lacks if getattr(self, name) not in (None, False)]
        if self.architecture != "encoder-decoder" and self.pretrained is not None and self.pretrained.type != ZOO:
            found.append("pretrained")
        details += [
            error_at((name,), f"{a_model} has no {name}: leave '{name}' out", None, at_key=True) for name in found
        ]
        if self.architecture != "encoder-decoder":
            if self.is_language_model and self.cross_position is not None:
                message = f"{a_model} has no cross-attention: leave 'cross_position' out"
                details.append(error_at(("decoder", "cross_position"), message, None, at_key=True))
            if self.tie_embeddings in {"decoder", "inputs"}:
                message = f"{a_model} has an input and an output matrix: expected 'all' (one) or 'none'"
                details.append(error_at(("tie_embeddings",), message, self.tie_embeddings))
        if self.reads_images:
            details += self._not_of_images()
        if details:
            raise ValidationError.from_exception_data("ModelSection", details)
        return self

    def _absent(self, name: str) -> InitErrorDetails:
        """The error of a field that this architecture needs: missing, or given as nothing."""
        field = type(self).model_fields[name]
        slots = [
            item
            for one in get_args(field.annotation)
            for item in getattr(one, "__metadata__", ())
            if isinstance(item, Slot)
        ]
        if name not in self.model_fields_set or not slots:
            return error_at((name,), f"missing key '{name}' ({field.description})", None)
        message = f"expected the name of a {slots[0].kind} or {{use: NAME, ...}}, found nothing"
        return error_at((name,), message, None)

    def _not_of_images(self) -> list[InitErrorDetails]:
        """Errors of keys that are about text, or about the other head."""
        details = []
        if self.encoder is not None and self.encoder.position is not None:
            message = "patches have positions of their own: leave 'position' out, and see image.patch_position"
            details.append(error_at(("encoder", "position"), message, None, at_key=True))
        if self.cross_position is not None:
            message = "cross-attention to patches has no positions: leave 'cross_position' out"
            details.append(error_at(("decoder", "cross_position"), message, None, at_key=True))
        if self.image is not None and self.architecture == "image-ctc" and self.image.registers_in_memory:
            message = "an image-ctc has no decoder to see the registers: leave 'registers_in_memory' out"
            details.append(error_at(("image", "registers_in_memory"), message, True))
        if self.image is not None and self.architecture == "image-to-text" and self.image.frames != 1:
            message = "frames are of an image-ctc: leave 'frames' out"
            details.append(error_at(("image", "frames"), message, self.image.frames))
        return details

    @property
    def is_language_model(self) -> bool:
        """Whether one stack reads the source and writes the target."""
        return self.architecture in {"causal-lm", "prefix-lm"}

    @property
    def reads_images(self) -> bool:
        """Whether examples are images: those that are read, or those that a generator learns to make."""
        return not self.writes_text or self.architecture in image_section.IMAGE_ARCHITECTURES

    @property
    def finds_boxes(self) -> bool:
        """Whether it is a detector: then `zoo.spec.detection_spec.DetectorModel`."""
        return self.architecture == "detector"

    @property
    def makes_images(self) -> bool:
        """Whether it is a generator: then `zoo.spec.generator_spec.GeneratorModel`."""
        return self.architecture == "generator"

    @property
    def writes_text(self) -> bool:
        """Whether it writes texts, so that it has tokenizers, a way of decoding and a loss of tokens."""
        return not (self.finds_boxes or self.makes_images)

    @property
    def reads(self) -> str:
        """What a source is: ``text`` or ``image``, as the trait ``inputs`` of a task's record says."""
        return "image" if self.reads_images else "text"

    @property
    def writes(self) -> str:
        """What the model gives for a source, as the trait ``outputs`` of a task's record says."""
        if self.makes_images:
            return "images"
        return "detections" if self.finds_boxes else "text"

    @property
    def encoder_layers(self) -> int:
        """Layers of the encoder; 0 where the architecture has none."""
        return 0 if self.encoder is None else self.encoder.layers

    @property
    def decoder_layers(self) -> int:
        """Layers of the decoder; 0 where the architecture has none."""
        return 0 if self.decoder is None else self.decoder.layers

    @property
    def cross_position(self) -> Chosen | None:
        """Position scheme of cross-attention, where there is one."""
        return None if self.decoder is None else self.decoder.cross_position

    def position_of(self, side: Literal["encoder", "decoder"]) -> Chosen:
        """The position scheme of a stack that reads or writes text. Raises ValueError where there is none."""
        found = self.stack(side).position or self.position
        if found is None:
            raise ValueError(f"the {side} of this {self.architecture} has no position scheme")
        return found

    def stack(self, side: Literal["encoder", "decoder"]) -> StackSection:
        """The stack of that side. Raises ValueError where the architecture has none."""
        found = self.encoder if side == "encoder" else self.decoder
        if found is None:
            raise ValueError(f"a {self.architecture} has no {side}")
        return found


def architecture_of(model: Any) -> Any:
    """The architecture of a model section, as data or made; None where it says none."""
    if isinstance(model, ModelSection):
        return model.architecture
    return model.get("architecture") if isinstance(model, dict) else None
