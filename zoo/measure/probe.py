"""Measuring in fresh processes: the request, the process, its answers.

A process of its own, because what a process did before changes what is measured: a peak of memory never falls,
allocators stay fragmented, code stays compiled. Each probe is a module that is run (``python -m zoo.startup
zoo.measure.NAME``), reads one JSON request on standard input and answers in lines of JSON on standard output. Its one
argument is a descriptor that its parent holds open: when that closes, the parent is gone, and the probe ends too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoo import startup
from zoo.errors import ZooError
from zoo.lifeline import end_with_parent
from zoo.measure.oom import kernel_oom_kills
from zoo.spec.outputs import Outputs
from zoo.spec.sections import MeasurementSection
from zoo.tasks.images import ImageSource, PixelImage, Source

Probe = Literal["latency_probe", "batch_probe", "peer_latency_probe", "peer_batch_probe"]


class SentImage(BaseModel):
    """An image in a request: its pixels, packed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    height: int = Field(ge=1)
    width: int = Field(ge=1)
    pixels: str = Field(description="RGB, row by row, one byte each: zlib, then base64")

    @classmethod
    def of(cls, image: ImageSource) -> SentImage:
        """The image as it is sent."""
        pixels = image.load()
        height, width, _ = pixels.shape
        return cls(height=height, width=width, pixels=b64encode(zlib.compress(pixels.tobytes())).decode())

    def image(self) -> PixelImage:
        """The image, in memory."""
        data = zlib.decompress(b64decode(self.pixels))
        return PixelImage(np.frombuffer(data, np.uint8).reshape(self.height, self.width, 3))


def as_sent(source: Source) -> str | tuple[str, str] | SentImage:
    """What a model reads as a request holds it."""
    return source if isinstance(source, (str, tuple)) else SentImage.of(source)


class Request(BaseModel):
    """What a probe is to do, whatever it measures."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    clocks: ClassVar[Probe]
    """The probe that takes the clocks of what is asked about, and the one that weighs it and finds its rates."""
    capacity: ClassVar[Probe]

    sentences: list[str | tuple[str, str] | SentImage] = Field(
        min_length=1, description="Texts, texts with their contexts, or images"
    )
    measurement: MeasurementSection
    device: str
    threads: int = Field(ge=1)
    gpu: str | None = Field(default=None, description="UUID of the GPU, for instruments beside torch")

    @property
    def subject(self) -> str:
        """What is measured, as an error names it."""
        raise NotImplementedError

    def sources(self) -> list[Source]:
        """What is to be read, in memory."""
        return [item.image() if isinstance(item, SentImage) else item for item in self.sentences]


class ProbeRequest(Request):
    """What a probe is to do, and with which model."""

    clocks: ClassVar[Probe] = "latency_probe"
    capacity: ClassVar[Probe] = "batch_probe"

    directory: Path = Field(description="Folder of 'zoo build' or 'zoo train'")
    decoding: Outputs = Field(description="How outputs are made")

    @property
    def subject(self) -> str:
        return str(self.directory)


class PeerRequest(Request):
    """What a probe is to do, and with which peer."""

    clocks: ClassVar[Probe] = "peer_latency_probe"
    capacity: ClassVar[Probe] = "peer_batch_probe"

    peer: dict[str, Any] = Field(description="The peer with its options, as a spec's plain form has it")

    @property
    def subject(self) -> str:
        return f"the peer '{self.peer.get('use')}'"


class ProbeKilledError(ZooError):
    """A probe ended by a signal; `answers` are those it gave before."""

    def __init__(self, message: str, answers: list[dict[str, Any]], *, out_of_memory: bool) -> None:
        super().__init__(message)
        self.answers = answers
        self.out_of_memory = out_of_memory


def run_probe(name: Probe, request: Request, *, timeout: float | None = None) -> list[dict[str, Any]]:
    """Run a probe in a new process and return its answers.

    Raises ProbeKilledError where a signal ended it, ZooError where it failed or took longer than `timeout` seconds.
    """
    what = f"the {name.replace('_', ' ')} of {request.subject}"
    kills_before = kernel_oom_kills()
    reading, writing = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "zoo.startup", f"zoo.measure.{name}", str(reading)],
            pass_fds=(reading,),
            input=request.model_dump_json(),
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ZooError(f"{what} took longer than {timeout:g} s") from None
    finally:
        os.close(reading)
        os.close(writing)
    answers = [json.loads(line) for line in done.stdout.splitlines()] if done.returncode <= 0 else []
    if done.returncode < 0:
        killed_for_memory = done.returncode == -signal.SIGKILL and kernel_oom_kills() > kills_before
        cause = "the kernel: out of memory" if killed_for_memory else signal.Signals(-done.returncode).name
        raise ProbeKilledError(f"{what} was killed by {cause}", answers, out_of_memory=killed_for_memory)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ZooError(f"{what} failed with status {done.returncode}: {last}")
    return answers


def serve(probe: Callable[[Any], Iterator[dict[str, Any]]], kind: type[Request] = ProbeRequest) -> None:
    """Be the process of a probe: read the request of that kind, write each answer as a line as soon as it is there.

    What libraries print to standard output goes to standard error. Exits with status 2 where there is no request.
    """
    startup.imported()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        if len(sys.argv) > 1:
            end_with_parent(int(sys.argv[1]))
        try:
            request = kind.model_validate_json(sys.stdin.buffer.read())
        except ValidationError as error:
            sys.exit(_refusal(error))
        torch.set_num_threads(request.threads)
        for answer in probe(request):
            answers.write(json.dumps(answer, allow_nan=False) + "\n")
            answers.flush()


def _refusal(error: ValidationError) -> int:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "request"
    sys.stderr.write(f"expected one JSON request on standard input: {where}: {first['msg']}\n")
    return 2
