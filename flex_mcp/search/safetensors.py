"""Reading a safetensors file: memory-mapped, so that a process reads only the rows it meets."""

import json
import mmap
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read(path: Path) -> "tuple[dict[str, NDArray[Any]], dict[str, str]]":
    """The arrays of a file and its notes: 8 bytes length, JSON header, the data."""
    import numpy as np

    types = {"I8": np.int8, "F32": np.float32}
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    (length,) = struct.unpack("<Q", mapped[:8])
    header: dict[str, Any] = json.loads(mapped[8 : 8 + length])
    notes: dict[str, str] = header.pop("__metadata__")
    arrays: dict[str, NDArray[Any]] = {}
    for name, about in header.items():
        start, end = about["data_offsets"]
        kind = np.dtype(types[about["dtype"]])
        flat = np.frombuffer(mapped, kind, (end - start) // kind.itemsize, 8 + length + start)
        arrays[name] = flat.reshape(about["shape"])
    return arrays, notes
