import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from filmgrain.files import tensors

TYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool]


def test_tensors_return_bit_for_bit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    saved = {str(dtype): (10 * torch.randn(3, 4)).to(dtype) for dtype in TYPES}
    saved |= {"scalar": torch.tensor(7.0), "empty": torch.zeros(0, 3), "strided": torch.randn(4, 6).T[::2]}
    tensors.save(tmp_path / "a", saved, {"step": "3"})
    loaded = tensors.load(tmp_path / "a")
    assert loaded.keys() == saved.keys()
    for name in saved:
        assert loaded[name].dtype == saved[name].dtype
        assert torch.equal(loaded[name], saved[name]), name
    assert tensors.header(tmp_path / "a").metadata == {"step": "3"}


def test_special_values_keep_their_bits(tmp_path: Path) -> None:
    saved = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    tensors.save(tmp_path / "a", {"x": saved})
    assert torch.equal(tensors.load(tmp_path / "a")["x"].view(torch.int32), saved.view(torch.int32))


def test_tied_tensors_are_saved_under_both_names(tmp_path: Path) -> None:
    weight = torch.randn(4)
    tensors.save(tmp_path / "a", {"in": weight, "out": weight, "part": weight[1:]})
    loaded = tensors.load(tmp_path / "a")
    assert torch.equal(loaded["in"], loaded["out"])
    assert torch.equal(loaded["part"], weight[1:])


def test_others_may_read_what_their_folder_lets_them(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    tensors.save(tmp_path / "a", {"x": torch.zeros(1)})
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_failed_write_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="could not be written"):
        tensors.save(tmp_path / "no" / "a", {"x": torch.zeros(1)})


def file(header: Any, data: int = 8) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + bytes(data)


def one(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


HOSTILE = {
    "empty": b"",
    "five bytes": b"\1\0\0\0\0",
    "header longer than the file": (2**40).to_bytes(8, "little") + b"{}",
    "header over the limit": file(b" " * (tensors.HEADER_LIMIT + 1)),
    "not JSON": file(b"{" * 50),
    "nested without end": file(b"[" * 200_000),
    "not text": file(b"\xff\xfe{}"),
    "a list": file([]),
    "tensor is a number": file({"x": 1}),
    "no dtype": file({"x": {"shape": [2], "data_offsets": [0, 8]}}),
    "unknown dtype": file(one("F33")),
    "dtype is a list": file(one(["F32"])),
    "10^12 parameters": file(one(shape=[10**12])),
    "overflowing shape": file(one(shape=[2**40, 2**40], offsets=[0, 2**82])),
    "number of 5000 digits": file(b'{"x":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,8]}}'),
    "negative": file(one(shape=[-2])),
    "fraction": file(one(shape=[2.0])),
    "truth": file(one(shape=[True, 2])),
    "shape is a text": file(one(shape="2")),
    "40 dimensions": file(one(shape=[2] + [1] * 40)),
    "three offsets": file(one(offsets=[0, 8, 8])),
    "backwards": file(one(offsets=[8, 0])),
    "beyond the end": file(one(offsets=[8, 16])),
    "data left over": file(one(), data=12),
    "data missing": file(one(), data=4),
    "overlap": file(one() | {"y": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}),
    "gap": file(one(offsets=[4, 12]), data=12),
    "twice": file(
        b'{"x":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"x":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}'
    ),
    "metadata is a number": file(one() | {"__metadata__": {"a": 1}}),
    "metadata is a list": file(one() | {"__metadata__": [1]}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_bytes(HOSTILE[name])
    with pytest.raises(tensors.Malformed) as error:
        tensors.load(tmp_path / "a")
    assert "\n" not in str(error.value)
    assert str(tmp_path / "a") in str(error.value)
    assert len(str(error.value)) < 400


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(tensors.Malformed):
            tensors.load(path)


def test_random_damage_is_refused_or_harmless(tmp_path: Path) -> None:
    """A flipped bit of the header raises `Malformed`, or renames, reshapes or retypes a tensor of the same size."""
    tensors.save(tmp_path / "a", {"w": torch.randn(4, 3), "b": torch.randn(5)}, {"step": "1"})
    sound = (tmp_path / "a").read_bytes()
    size = len(sound) - 17 * 4
    for seed in range(300):
        draw, data = random.Random(seed), bytearray(sound)
        data[draw.randrange(size)] ^= 1 << draw.randrange(8)
        (tmp_path / "b").write_bytes(data)
        try:
            loaded = tensors.load(tmp_path / "b")
        except tensors.Malformed:
            continue
        assert sum(tensor.numel() * tensor.element_size() for tensor in loaded.values()) == 17 * 4
