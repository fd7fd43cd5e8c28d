"""Graphs on disk: beside them one file with the weights of all, each tensor once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx.external_data_helper import set_external_data

WEIGHTS = "model.onnx_data"
"""The file with the weights of every graph of a folder."""
_SMALL = 1024
"""Bytes of a tensor up to which it stands in its graph: onnxruntime reads shapes before it opens other files."""
_PAGE = 4096
"""Tensors begin at pages of memory, so that the file can be mapped."""


def save_graphs(graphs: Mapping[str, onnx.ModelProto], folder: Path) -> None:
    """Write each graph by its name, and the weights of all to `WEIGHTS`, where a tensor stands once that several have.
    Takes the weights out of `graphs`."""
    places: dict[bytes, tuple[int, int]] = {}
    with (folder / WEIGHTS).open("wb") as file:
        for graph in graphs.values():
            for tensor in graph.graph.initializer:
                if len(tensor.raw_data) < _SMALL:
                    continue
                key = hashlib.sha256(tensor.raw_data).digest()
                if key not in places:
                    file.write(b"\0" * (-file.tell() % _PAGE))
                    places[key] = file.tell(), len(tensor.raw_data)
                    file.write(tensor.raw_data)
                offset, length = places[key]
                set_external_data(tensor, WEIGHTS, offset=offset, length=length)
                tensor.ClearField("raw_data")
        file.flush()
        os.fsync(file.fileno())
    if not places:
        (folder / WEIGHTS).unlink()
    for name, graph in graphs.items():
        (folder / name).write_bytes(graph.SerializeToString())


def load_graphs(folder: Path) -> dict[str, onnx.ModelProto]:
    """The graphs that `save_graphs` wrote, with their weights in memory."""
    return {path.name: onnx.load(path) for path in sorted(folder.glob("*.onnx"))}


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file."""
    return {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.is_file()}
