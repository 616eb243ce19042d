"""Training on clips and images at once: what is minimised, what is refused, and that a run keeps its promises."""

import numpy as np
import pytest
import torch
from PIL import Image

import filmgrain
from filmgrain import runs
from filmgrain.data.joint import Joint
from filmgrain.data.loader import Loader
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.draw import Draw
from filmgrain.diffusion.process import alpha_sigma
from filmgrain.generate.sampling import Config as Sampling
from filmgrain.generate.videos import generate
from filmgrain.recipe import RecipeError, loads, override
from filmgrain.rooms import find
from filmgrain.training import checkpoint

RECIPE = """
[data]
name = "moving_shapes"
frames = 3
height = 8
width = 8
kinds = ["circle", "square"]
clips = 9
[network]
name = "unet3d"
width = 8
mults = [1, 2]
heads = 2
head_width = 8
dropout = 0.2
condition = 6
[conditions.label]
names = ["circle", "square"]
[task]
images = 2
previews = 0
[train]
steps = 4
batch = 4
save_every = 2
warmup = 1
precision = "float32"
device = "cpu"
"""


def made(*settings):
    """Task, and a batch of its own drawing."""
    recipe = override(loads(RECIPE), settings)
    torch.manual_seed(0)
    model = runs.build(recipe).eval()
    torch.nn.init.normal_(model.network.out.weight, std=0.1)
    task = find("tasks", "diffusion").Task(recipe.task, model, seed=5, held_out=None, sampling=Sampling())
    data = task.source(runs.datasets(recipe)["train"])
    return task, next(Loader(data, batch=4, seed=5).batches())


def test_the_loss_is_the_mean_over_clip_and_images_at_one_noise_level_each_with_its_label():
    task, batch = made("conditions.label.drop=0.0")
    loss, _ = task.loss(batch, "model")
    model, draw = task.model, Draw(5, tuple(batch["n"].tolist()))
    x0, eps = batch["x"], draw.normal("training noise", batch["x"])
    logsnr = model.schedule(draw.times()).to(x0)
    a, s = alpha_sigma(logsnr, x0)
    z, target = a * x0 + s * eps, a * eps - s * x0
    labels = torch.tensor(batch["label"])  # b (1 + images)
    errors = []
    for part, frames in enumerate((slice(0, 3), slice(3, 4), slice(4, 5))):
        cond = Cond(vector=model.conditioners["label"].table(labels[:, part]))
        errors.append((model.network(z[:, :, frames], logsnr, cond) - target[:, :, frames]).square())
    assert labels.unique().tolist() == [0, 1]
    assert loss.item() == pytest.approx(torch.cat(errors, dim=2).mean().item(), rel=1e-5)


def test_a_label_is_dropped_for_a_clip_and_its_images_alike():
    task, batch = made("conditions.label.drop=0.5")
    seen = []
    task.model.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[2].vector))
    task.loss(batch, "model")
    dropped = (seen[0] == task.model.null(1).vector).all(1).unflatten(0, (4, 3))
    assert torch.equal(dropped.all(1), dropped.any(1)) and 0 < dropped.sum() < 12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["network.norm=group"], r'norm="group" joins all frames, so images would leak .*set network.norm="rms"'),
        (["network.maps=1"], "task.images=2: images have none of the 1 maps; set task.images=0"),
        (["task.images=-1"], "images=-1 is negative; use 0 for none"),
        (["task.images=0", "task.pictures=here"], 'pictures="here" without images; set task.images=8'),
        (
            ["data.name=image_folder", "data.folder=x", "network.name=unet2d", "network.condition=6"],
            "the data are pict",
        ),
    ],
)
def test_what_cannot_be_joined_is_refused_in_one_line(settings, message):
    with pytest.raises(RecipeError, match=message) as error:
        override(loads(RECIPE), settings)
    assert "\n" not in str(error.value)


def test_pictures_that_lack_what_the_clips_are_told_by_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "pictures").mkdir()
    Image.fromarray(np.full((9, 9, 3), 90, np.uint8)).save(tmp_path / "pictures" / "a.png")
    with pytest.raises(ValueError, match='has not the "label" of its pictures that the clips have; give such pictures'):
        made(f"task.pictures={tmp_path / 'pictures'}")


def test_a_run_resumes_bit_for_bit_recomputes_and_samples_clips_and_images(tmp_path):
    recipe = loads(RECIPE)

    def weights(name):
        return {
            k: t for kind in ("model", "ema") for k, t in checkpoint.read(runs.newest(tmp_path / name), kind).items()
        }

    runs.train(recipe, tmp_path / "whole")
    runs.train(override(recipe, ["train.steps=2", "train.recompute=-1"]), tmp_path / "parts")
    runs.train(recipe, tmp_path / "parts", resume=True)
    whole, parts = weights("whole"), weights("parts")
    assert whole.keys() == parts.keys() and all(torch.equal(whole[key], parts[key]) for key in whole)
    assert "2 images behind each clip, frames of other clips" in (tmp_path / "whole/data.txt").read_text()
    model = filmgrain.load(tmp_path / "whole", device="cpu")
    for shape in ((3, 3, 8, 8), (3, 1, 8, 8), (3, 8, 8)):
        assert generate(model, 2, shape=shape, config=Sampling(steps=2)).shape == (2, *shape)


def test_without_images_nothing_is_joined():
    task, batch = made("task.images=0")
    assert batch["x"].shape == (4, 3, 3, 8, 8) and not isinstance(task.source([]), Joint)
    assert task.loss(batch, "model")[0].isfinite()
