"""The examples of both READMEs run, after a change of the import line and of sizes; what is refused says why."""

import importlib.metadata
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from filmgrain.cli import main
from filmgrain.files.video import read

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SMALLER = {  # what is written there: what it becomes, so that an example takes seconds
    r"^from (\w+_diffusion_pytorch) import": r"from filmgrain.compat.\1 import",
    r"\bdim = 64": "dim = 8",
    r"\(1, 2, 4, 8\)": "(1, 2)",
    r"image_size = \d+": "image_size = 8",
    r"num_frames = \d+": "num_frames = 3",
    r"\btimesteps = 1000": "timesteps = 4",
    r"sampling_timesteps = 250": "sampling_timesteps = 2",
    r"train_batch_size = 32": "train_batch_size = 2",
    r"train_num_steps = 700000": "train_num_steps = 2",
    r"save_and_sample_every = 1000": "save_and_sample_every = 1",
    r"(\d, 3, )5, 32, 32\)": r"\g<1>3, 8, 8)",
    r"(\d, 3, )128, 128\)": r"\g<1>8, 8)",
    r"\.cuda\(\)": "",
}


def examples(package: str) -> list[str]:
    return BLOCK.findall((Path(__file__).parent / f"{package}.txt").read_text(encoding="utf-8"))


def sampled(out: str) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["sample", "results", "--count", "1", "--out", out])


def run(code: str) -> dict[str, Any]:
    for pattern, smaller in SMALLER.items():
        code = re.sub(pattern, smaller, code, flags=re.MULTILINE)
    assert "from filmgrain.compat" in code  # and not the other package, at its full size
    names: dict[str, Any] = {}
    exec(code, names)
    return names


VIDEO, IMAGE = examples("video_diffusion_pytorch"), examples("denoising_diffusion_pytorch")


def test_the_examples_are_theirs():
    try:
        theirs = importlib.metadata.metadata("denoising-diffusion-pytorch").get_payload()
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the reference packages are not installed: tests/reference.txt")
    assert len(IMAGE) == 2 and all(example in theirs for example in IMAGE)


@pytest.mark.parametrize(("number", "count"), [(0, 4), (1, 2)], ids=["unconditional", "conditional"])
def test_videos_are_sampled(number, count):
    names = run(VIDEO[number])
    assert names["loss"].ndim == 0 and names["loss"].isfinite()
    assert names["model"].network.out.weight.grad.abs().max() > 0
    assert names["sampled_videos"].shape == (count, 3, 3, 8, 8)
    assert names["sampled_videos"].min() >= 0 and names["sampled_videos"].max() <= 1


def test_texts_are_refused():
    with pytest.raises(
        ValueError, match=r"use_bert_text_cond=True is not to be had; make the Unet3D with cond_dim=768"
    ):
        run(VIDEO[2])


def test_a_training_on_gifs_is_a_run(capsys):
    """Theirs to train and to load again; ours to sample from."""
    torch.manual_seed(0)
    run(VIDEO[3])
    sampled("new")
    assert len(read(Path("new/000.gif")).frames) == 3

    with pytest.raises(ValueError, match="cond_dim=768, and a Trainer gives no cond"):
        run(VIDEO[4])
    unconditional = VIDEO[4].replace("    cond_dim  = 768,\n", "").replace("cond = input_condition, ", "")
    assert run(unconditional)["trainer"].step == 2
    assert len(read(Path("output.gif")).frames) == 3


def test_images_are_sampled():
    names = run(IMAGE[0])
    assert names["loss"].ndim == 0 and names["model"].network.first.weight.grad.abs().max() > 0
    assert names["sampled_images"].shape == (4, 3, 8, 8)
    assert names["sampled_images"].min() >= 0 and names["sampled_images"].max() <= 1


def test_a_training_on_images_is_a_run(capsys):
    with pytest.warns(UserWarning, match=r"by filmgrain evaluate ./results --against path/to/your/images"):
        trainer = run(IMAGE[1])["trainer"]
    assert trainer.step == 2 and trainer.ema.ema_model.sample(batch_size=1).shape == (1, 3, 8, 8)
    sampled("new")
    assert read(Path("new/000.png")).frames.shape == (1, 8, 8, 3)
