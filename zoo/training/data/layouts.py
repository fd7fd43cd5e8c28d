"""How a model's skeleton has its training examples laid out: what is encoded, the rows, their tensors, their bounds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from zoo.errors import InputError
from zoo.models.tokenizers import Tokenizers
from zoo.tasks import DataHome, Example
from zoo.tasks.contracts import Progress, silent
from zoo.tasks.images import Size
from zoo.training.data.batching import Lengths, TokenBatches
from zoo.training.data.collate import Collating, Collator
from zoo.training.data.collate_images import ImageCollator
from zoo.training.data.detections import DetectionCollator, EncodedDetections, encoded_detections
from zoo.training.data.encoded import encoded_images, encoded_pairs
from zoo.training.data.frames import FrameBatches
from zoo.training.data.images import EncodedImages, frames_needed, image_of
from zoo.training.data.pictures import EncodedPictures, PictureCollator, encoded_pictures
from zoo.training.data.ragged import Encoded, EncodedPairs
from zoo.training.data.sequences import SequenceCollator, row_lengths

E = TypeVar("E", bound=Encoded)


@dataclass(frozen=True)
class SplitData:
    """The examples of a split, or of a part of it, and what names them among those that are kept."""

    home: DataHome
    revision: str
    split: str
    examples: Callable[[], Sequence[Example]]
    """Asked for only where they are needed."""
    tokenizers: Tokenizers
    max_tokens: int
    progress: Progress = silent


class Layout(ABC, Generic[E]):
    """What training asks of a layout."""

    alone: Collection[int] = ()
    """Which of `lengths` are of rows that hold one example even where rows are packed."""

    @abstractmethod
    def encoded(self, data: SplitData) -> E:
        """The examples as batches are made of them; what is costly is kept in the data home."""

    @abstractmethod
    def lengths(self, examples: E) -> Sequence[Lengths]:
        """The length of each example in each kind of row."""

    def apart(self, examples: E) -> Lengths | None:
        """The length of what each example has a row of its own for even where rows are packed; None where there is no
        such thing."""
        return None

    @abstractmethod
    def collator(self, examples: E, config: Any, *, source_loss: bool = False) -> Collating:
        """What makes batches of `examples` for a model of `config`."""

    def batches(self, examples: E, budget: int, seed: int) -> TokenBatches:
        """Batches of one example a row, of at most `budget` tokens with their padding."""
        return TokenBatches(self.lengths(examples), budget, seed)

    @abstractmethod
    def refuse_past_the_table(self, model: Any, examples: E) -> None:
        """Raise InputError where an example is longer than a position scheme: before training, not some steps later."""

    def refuse_unreadable(self, model: Any, split: str, examples: Callable[[], Sequence[Example]]) -> None:
        """Raise InputError where an example of a split that is not trained on cannot be read by the model, whatever is
        left out of it: before training, not hours later."""

    def idle(self, examples: E) -> int | None:
        """How many examples add nothing to the loss; None where none can."""
        return None


class _TextLayout(Layout[EncodedPairs]):
    def encoded(self, data: SplitData) -> EncodedPairs:
        return encoded_pairs(
            data.home,
            data.revision,
            data.split,
            data.tokenizers,
            data.examples,
            data.max_tokens,
            data.progress,
            f"encoding {data.split.partition('-')[0]}",
        )


class Pairs(_TextLayout):
    """Source and target in rows of their own."""

    def lengths(self, examples: EncodedPairs) -> Sequence[Lengths]:
        return [side.lengths for side in examples.sides]

    def collator(self, examples: EncodedPairs, config: Any, *, source_loss: bool = False) -> Collator:
        return Collator(examples, pad_id=config.pad_token_id, start_id=config.decoder_start_token_id)

    def refuse_past_the_table(self, model: Any, examples: EncodedPairs) -> None:
        sides = [(model.encoder, "source", examples.sources), (model.decoder, "target", examples.targets)]
        if examples.contexts is not None:
            sides.append((model.encoder.context_stack or model.encoder, "context", examples.contexts))
        for stack, side, sequences in sides:
            _refuse_longer(stack, side, int(sequences.lengths.max()))


class Sequences(_TextLayout):
    """Source, separator and target in one row."""

    def __init__(self, *, prefix: bool) -> None:
        self._prefix = prefix

    def lengths(self, examples: EncodedPairs) -> Sequence[Lengths]:
        return [row_lengths(examples)]

    def collator(self, examples: EncodedPairs, config: Any, *, source_loss: bool = False) -> SequenceCollator:
        return SequenceCollator(
            examples,
            pad_id=config.pad_token_id,
            separator=config.bos_token_id,
            prefix=self._prefix,
            source_loss=source_loss,
        )

    def refuse_past_the_table(self, model: Any, examples: EncodedPairs) -> None:
        limit, longest = model.decoder.position.position_limit, int(row_lengths(examples).max())
        if limit is not None and longest > limit:
            raise InputError(
                f"the longest source and target have {longest} tokens together, but the position scheme ends at "
                f"{limit}: set training.max_tokens to at most {limit // 2}, or raise model.max_positions"
            )


_UNPACKED = 4
"""Of the tokens that a decoder or head reads, so many count as one of the encoder.

It reads packed images one a row, as long as the longest of the batch: without a bound, one large image among many small
ones makes a batch of many times its budget. Such a token takes memory for keys and values of each layer at most, one of
the encoder for all that its layers hold. Were they counted alike, rows of images whose sizes differ as much as those of
lines of text would not be filled."""


class Images(Layout[EncodedImages]):
    """Patches of an image and the target in rows of their own; targets stay so where patches of several images are
    packed into a row. `processor` is the model's image processor; `frames` are those of each column of patches, of a
    model without a decoder."""

    alone = (1,)

    def __init__(self, processor: Any, *, decoder: bool, frames: int = 1) -> None:
        self._processor = processor
        self._decoder = decoder
        self._frames = frames

    def encoded(self, data: SplitData) -> EncodedImages:
        return encoded_images(
            data.home,
            data.revision,
            data.split,
            data.tokenizers.target,
            self._processor.grid,
            data.examples,
            data.max_tokens,
            data.progress,
            f"encoding {data.split.partition('-')[0]}",
        )

    def lengths(self, examples: EncodedImages) -> Sequence[Lengths]:
        return [examples.patches, examples.targets.lengths]

    def apart(self, examples: EncodedImages) -> Lengths:
        """The decoder's targets, and what is encoded of an image, of which `_UNPACKED` tokens count as one. (Without a
        decoder there are frames instead of targets, as many as the patches' budget has columns.)"""
        unpacked: Lengths = -(-examples.patches // _UNPACKED)
        return np.maximum(unpacked, examples.targets.lengths) if self._decoder else unpacked

    def collator(self, examples: EncodedImages, config: Any, *, source_loss: bool = False) -> ImageCollator:
        start = config.decoder_start_token_id if self._decoder else None
        return ImageCollator(examples, self._processor, pad_id=config.pad_token_id, start_id=start)

    def refuse_past_the_table(self, model: Any, examples: EncodedImages) -> None:
        limit, (rows, columns) = model.encoder.position.grid_limit, examples.largest
        if limit is not None and (rows > limit[0] or columns > limit[1]):
            raise InputError(
                f"the patch positions end at a grid of {limit[0]} x {limit[1]} patches, and training images have up to "
                f"{rows} rows and {columns} columns: make images smaller (model.image.input), or the table larger "
                "(model.image.patch_position)"
            )
        if self._decoder:
            _refuse_longer(model.decoder, "target", int(examples.targets.lengths.max()))
        else:
            self._refuse_few_frames(examples)

    def refuse_unreadable(self, model: Any, split: str, examples: Callable[[], Sequence[Example]]) -> None:
        """Where an image's grid leaves the table of patch positions. Nothing is decoded."""
        limit = model.encoder.position.grid_limit
        if limit is None:
            return
        fitting: set[Size] = set()
        for example in examples():
            size = image_of(example).size
            if size in fitting:
                continue
            rows, columns = self._processor.grid(*size)
            if rows > limit[0] or columns > limit[1]:
                raise InputError(
                    f"the patch positions end at a grid of {limit[0]} x {limit[1]} patches, and image '{example.id}' "
                    f"of the {split} split ({size[0]} x {size[1]} pixels) has {rows} x {columns}: make images smaller "
                    "(model.image.input), or the table larger (model.image.patch_position)"
                )
            fitting.add(size)

    def idle(self, examples: EncodedImages) -> int | None:
        """Texts that need more frames than their images have."""
        if self._decoder:
            return None
        return int((frames_needed(examples.targets) > examples.columns * self._frames).sum())

    def _refuse_few_frames(self, examples: EncodedImages) -> None:
        """A text that needs more frames than its image has adds nothing to a loss: most of them must not."""
        short = self.idle(examples) or 0
        if 2 * short > len(examples):
            raise InputError(
                f"{short} of {len(examples)} training texts need more frames than their images have ({self._frames} "
                "for each column of patches), so that nothing is learnt from them: make patches narrower "
                "(model.image.patch.width), or raise model.image.frames"
            )


class Detections(Layout[EncodedDetections]):
    """An image, and the boxes in it. `processor` is the model's image processor, `categories` its classes'."""

    def __init__(self, processor: Any, categories: Sequence[int]) -> None:
        self._processor = processor
        self._categories = categories

    def encoded(self, data: SplitData) -> EncodedDetections:
        return encoded_detections(data.examples(), self._categories, self._processor.grid)

    def lengths(self, examples: EncodedDetections) -> Sequence[Lengths]:
        return [examples.cells]

    def batches(self, examples: EncodedDetections, budget: int, seed: int) -> FrameBatches:
        """All images of a batch are padded to one frame."""
        return FrameBatches(examples.cells, examples.columns, budget, seed)

    def collator(self, examples: EncodedDetections, config: Any, *, source_loss: bool = False) -> DetectionCollator:
        return DetectionCollator(examples, self._processor)

    def refuse_past_the_table(self, model: Any, examples: EncodedDetections) -> None:
        """Images have no table of positions that could end; boxes may be more than a detector finds in one."""
        counts = examples.targets.lengths  # [N]
        most = model.detector.most
        beyond = 0 if most is None else int((counts - most).clip(min=0).sum())
        if beyond > _FEW_BOXES * counts.sum():
            raise InputError(
                f"{beyond} of {counts.sum()} training boxes could not be found: the detector finds {most} in an image, "
                f"and {(counts > most).sum()} of {len(counts)} images have more, up to {counts.max()} (queries are a "
                "detector's option)"
            )


_FEW_BOXES = 0.01
"""Share of the boxes that may be lost in images with more than can be found: a few full ones need not decide."""


class Pictures(Layout[EncodedPictures]):
    """Images alone, all of one `size` (height and width)."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size

    def encoded(self, data: SplitData) -> EncodedPictures:
        return encoded_pictures(data.examples(), self._size)

    def lengths(self, examples: EncodedPictures) -> Sequence[Lengths]:
        return [examples.ones]

    def collator(self, examples: EncodedPictures, config: Any, *, source_loss: bool = False) -> PictureCollator:
        return PictureCollator(examples)

    def refuse_past_the_table(self, model: Any, examples: EncodedPictures) -> None:
        """Images have no table of positions that could end."""


def _refuse_longer(stack: Any, side: str, longest: int) -> None:
    limit = stack.position.position_limit
    if limit is not None and longest > limit:
        raise InputError(
            f"the longest {side} has {longest} tokens, but the position scheme of the {stack.side} "
            f"ends at {limit}: set training.max_tokens to at most {limit}, or raise model.max_positions"
        )


def _images(model: Any) -> Images:
    decoder = model.section.decoder is not None
    return Images(model.image_processor, decoder=decoder, frames=1 if decoder else model.frames)


PAIRS = Pairs()
_LAYOUTS: dict[str, Callable[[Any], Layout[Any]]] = {
    "pair": lambda model: PAIRS,
    "sequence": lambda model: Sequences(prefix=model.reads_prefix),
    "image": _images,
    "detections": lambda model: Detections(model.image_processor, model.categories),
    "pictures": lambda model: Pictures((model.shape.height, model.shape.width)),
}


def layout_of(model: Any) -> Layout[Any]:
    """The layout that a model's skeleton asks for."""
    return _LAYOUTS[model.arrangement](model)
