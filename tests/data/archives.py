"""Tiny archives as they are found in the world: idx files, CIFAR's pickles of Python 2 and its records, tar shards."""

import gzip
import io
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NAMES = ["airplane", "car", "bird", "cat"]


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


# idx


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(folder: Path, *, train: int = 30, test: int = 12, side: int = 28, packed: bool = True) -> None:
    """The four files of MNIST's family; labels are 0 ... 9 over and over."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("t10k", test)):
        for name, array in {
            "images-idx3-ubyte": noise(count, side, side, seed=count),
            "labels-idx1-ubyte": np.arange(count, dtype=np.uint8) % 10,
        }.items():
            path = folder / f"{part}-{name}{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))


# CIFAR


def pickled(value: Any) -> bytes:
    """A pickle of protocol 2 as Python 2 wrote it: text and the bytes of arrays are both its `str`."""
    return b"\x80\x02" + _opcodes(value) + b"."


def _opcodes(value: Any) -> bytes:
    if isinstance(value, dict):
        return b"}(" + b"".join(_opcodes(key) + _opcodes(inner) for key, inner in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(_opcodes, value)) + b"e"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, str):
        return b"U" + bytes([len(value)]) + value.encode("latin-1")
    assert isinstance(value, np.ndarray)
    shape = b"(" + b"".join(map(_opcodes, map(int, value.shape))) + b"t"
    content = b"T" + struct.pack("<i", value.size) + value.tobytes()
    dtype = b"cnumpy\ndtype\nq\x0bU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    return empty + b"(K\x01" + shape + dtype + b"\x89" + content + b"tb"


def labels_of(count: int) -> list[int]:
    return [number % len(NAMES) for number in range(count)]


def cifar10_python(count: int = 4) -> dict[str, bytes]:
    """Of cifar-10-batches-py: each file's content. A batch has as many pictures."""
    files = {"batches.meta": pickled({"num_cases_per_batch": count, "label_names": NAMES, "num_vis": 3072})}
    for seed, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        batch = {"batch_label": name, "labels": labels_of(count), "data": noise(count, 3072, seed=seed)}
        files[name] = pickled(batch | {"filenames": [f"{n}.png" for n in range(count)]})
    return files


def cifar100_python(count: int = 8) -> dict[str, bytes]:
    files = {"meta": pickled({"fine_label_names": NAMES, "coarse_label_names": ["thing", "animal"]})}
    for seed, name in enumerate(("train", "test")):
        coarse = [label // 2 for label in labels_of(count)]
        batch = {"fine_labels": labels_of(count), "coarse_labels": coarse, "data": noise(count, 3072, seed=seed)}
        files[name] = pickled(batch)
    return files


def records(pixels: np.ndarray, *labels: list[int]) -> bytes:
    return np.concatenate([np.array(labels, np.uint8).T, pixels], axis=1).tobytes()


def cifar10_binary(count: int = 4) -> dict[str, bytes]:
    files = {"batches.meta.txt": "\n".join([*NAMES, "", ""]).encode()}
    for seed, name in enumerate([*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]):
        files[name] = records(noise(count, 3072, seed=seed), labels_of(count))
    return files


def cifar100_binary(count: int = 8) -> dict[str, bytes]:
    files = {"fine_label_names.txt": "\n".join(NAMES).encode(), "coarse_label_names.txt": b"thing\nanimal\n"}
    for seed, name in enumerate(("train.bin", "test.bin")):
        coarse = [label // 2 for label in labels_of(count)]
        files[name] = records(noise(count, 3072, seed=seed), coarse, labels_of(count))
    return files


# tar


def packed(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    """A tar of these files, in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def unpacked(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def png(seed: int = 0, height: int = 12, width: int = 16) -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise(height, width, 3, seed=seed)).save(file, "PNG")
    return file.getvalue()


def gif(frames: int = 6, seed: int = 0, height: int = 12, width: int = 16) -> bytes:
    file = io.BytesIO()
    first, *rest = (Image.fromarray(frame) for frame in noise(frames, height, width, 3, seed=seed))
    first.save(file, "GIF", save_all=True, append_images=rest, duration=100)
    return file.getvalue()
