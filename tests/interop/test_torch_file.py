"""Others' pickles are read without running what they hold, and refused in one line where they cannot be read."""

import os
import pickle
import subprocess
import sys
import zipfile

import pytest
import torch

from filmgrain.interop import Refused, torch_file
from filmgrain.interop.torch_file import _decode, _encode, _reason
from filmgrain.interop.video_diffusion_pytorch import _parts, read


class Hostile:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def refusal(path) -> str:
    with pytest.raises(Refused) as refused:
        torch_file.load(path)
    text = str(refused.value)
    assert str(path) in text and "\n" not in text and len(text) < 300
    return text


def test_a_hostile_pickle_is_refused_and_not_run(tmp_path):
    path, proof = tmp_path / "hostile.pt", tmp_path / "proof"
    torch.save({"model": Hostile(f"touch {proof}")}, path)
    assert "asks for posix.system" in refusal(path) or os.name == "nt"
    assert not proof.exists()
    torch.load(path, weights_only=False)  # the same file does run when read without care
    assert proof.exists()


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "half.pt"
    torch.save({"model": {"weight": torch.zeros(1000)}}, path)
    os.truncate(path, path.stat().st_size // 2)
    assert "cut short, damaged" in refusal(path)


def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(tmp_path):
    path = tmp_path / "bomb.pt"
    torch.save({"model": torch.zeros(1).expand(10**12)}, path)  # 4 TB of one stored zero
    assert "claim 4000000000000 bytes" in refusal(path)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is limited on Linux only")
def test_the_reader_has_a_limit_of_memory():
    code = "import torch; from filmgrain.interop.torch_file import BASE, _limit; _limit(0, 60); torch.zeros(BASE // 2)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert child.returncode != 0 and "can't allocate memory" in child.stderr


def test_nothing_but_a_regular_file_is_opened(tmp_path):
    for path in (tmp_path, tmp_path / "absent.pt"):
        assert "is not a file" in refusal(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    "content", [b"", b"GIF89a of nothing", b"this is text", b"hx", pickle.dumps({"a": 1}), b"PK\x03\x04"]
)
def test_what_torch_did_not_save_has_a_one_line_reason(tmp_path, content):
    path = tmp_path / "other.pt"
    path.write_bytes(content)
    with pytest.raises(Exception) as error:
        torch.load(path, weights_only=True)
    assert "torch.save wrote" in _reason(error.value) or "cut short" in _reason(error.value)


def test_other_zip_archives_have_a_one_line_reason(tmp_path):
    path = tmp_path / "other.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "text")
    with pytest.raises(RuntimeError) as error:
        torch.load(path, weights_only=True)
    assert "another kind of archive" in _reason(error.value)


def test_containers_come_back_as_they_were():
    tree = {
        "step": 7,
        "rate": 1e-4,
        "note": None,
        "state": {"a.b": torch.ones(2), "list": [1, torch.zeros(3), "x", True]},
    }
    found = []
    encoded = _encode(tree, found)
    back = _decode(encoded, {str(i): tensor for i, tensor in enumerate(found)})
    assert back.keys() == tree.keys() and (back["step"], back["rate"], back["note"]) == (7, 1e-4, None)
    assert torch.equal(back["state"]["a.b"], torch.ones(2)) and torch.equal(back["state"]["list"][1], torch.zeros(3))
    assert back["state"]["list"][2:] == ["x", True]
    with pytest.raises(TypeError, match="holds a complex"):
        _encode({"a": 1j}, [])


@pytest.mark.parametrize("contents", [[1, 2], {"model": {"layer1.weight": torch.zeros(2)}}, {"model": 3}, {}])
def test_another_checkpoint_is_refused(tmp_path, monkeypatch, contents):
    monkeypatch.setattr(torch_file, "load", lambda path: contents)
    with pytest.raises(Refused, match=r"x.pt (is not of video-diffusion-pytorch|holds a list)"):
        read(tmp_path / "x.pt", frames=1, size=8)


def test_another_schedule_is_refused():
    state = {"denoise_fn.init_conv.weight": torch.zeros(1), "betas": torch.linspace(1e-4, 0.02, 100)}
    with pytest.raises(Refused, match=r"betas of shape \(100,\) that are not the cosine schedule's"):
        _parts(state)
