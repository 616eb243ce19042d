"""filmgrain import and export: others' pictures' networks in, ours out, and what is said of what cannot be."""

import json
import sys
from pathlib import Path

import pytest
import torch

from filmgrain import recipe as recipes
from filmgrain import runs
from filmgrain.conditioning import label
from filmgrain.data import image_folder
from filmgrain.data.idx import Config as Grey
from filmgrain.diffusion.tables import LinearBeta
from filmgrain.files import tensors
from filmgrain.generate.sampling import Config as Sampling
from filmgrain.model import Config as Diffusion
from filmgrain.networks import ddp_unet, ddpm_unet, simple_unet, unet2d
from filmgrain.training import checkpoint
from filmgrain.training.run import Run

sys.path.insert(0, str(Path(__file__).parents[1] / "networks"))
from test_ddpm_unet import theirs

UNET = unet2d.Config(width=16, mults=(1, 2), attention=(1,), blocks=1, groups=4, head_width=8)


def trained(folder="run", network=UNET, conditions=None, **sections) -> Path:
    """A run of pictures of 8 x 8, as if trained."""
    data = image_folder.Config(folder="none", height=8, width=8)
    recipe = recipes.Recipe(data=data, network=network, conditions=conditions or {}, **sections)
    torch.manual_seed(0)
    model = runs.build(recipe)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    run = Run(folder=Path(folder), recipe=recipes.dumps(recipe))
    run.folder.mkdir()
    averages = {name: 0.9 * parameter.detach() for name, parameter in model.named_parameters()}
    checkpoint.save(run, checkpoint.State(step=3), model, averages, {})
    return run.folder


def test_out_and_in_again(run):
    trained(sample=Sampling(sampler="ddpm"))
    code, out, err = run("export", "diffusers", "run", "out")
    assert (code, err) == (0, "") and "DDPMPipeline of a UNet2DModel" in out and "the ema weights of step-" in out
    code, out, err = run("import", "diffusers", "out", "back")
    total = sum(parameter.numel() for parameter in runs.load("back").parameters())
    assert (code, err) == (0, "") and f"back: {total:,} parameters of step 0" in out
    assert runs.recipe_of("back").sample.sampler == "ddpm"
    assert run("sample", "back", "--count", "2", "--steps", "2", "--out", "new").code == 0
    assert Path("new/001.png").exists()
    assert run("export", "diffusers", "back", "again").code == 0
    first, second = (tensors.load(Path(way, "unet/diffusion_pytorch_model.safetensors")) for way in ("out", "again"))
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)


def test_raw_weights_and_a_class_of_a_conditional_run(run):
    network = unet2d.Config(**{**vars(UNET), "condition": 4})
    trained(network=network, conditions={"label": label.Config(names=("cat", "dog"))})
    ways = {"cat": ["--label", "cat"], "dog": ["--label", "DOG"], "none": [], "raw": ["--weights", "raw"]}
    biases = {}
    for name, flags in ways.items():
        code, out, _ = run("export", "diffusers", "run", name, *flags)
        assert code == 0 and {"cat": ", of cat", "none": ", told no condition"}.get(name, "") in out
        state = tensors.load(Path(name, "unet/diffusion_pytorch_model.safetensors"))
        biases[name] = state["time_embedding.linear_2.bias"]
    assert len({tuple(bias.tolist()) for bias in biases.values()}) == 4


def test_an_uneven_number_of_steps_is_told(run):
    trained(network=unet2d.Config(**{**vars(UNET), "steps": True}), diffusion=Diffusion(schedule=LinearBeta(steps=300)))
    assert "evenly" not in run("export", "diffusers", "run", "out").out
    trained(
        "other",
        network=unet2d.Config(**{**vars(UNET), "steps": True}),
        diffusion=Diffusion(schedule=LinearBeta(steps=64)),
    )
    assert (
        "its DDIM walks evenly in a number of steps that divides 64" in run("export", "diffusers", "other", "new").out
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_a_checkpoint_of_pytorch_ddpm(run, channels):
    network = ddpm_unet.Network(ddpm_unet.Config(width=32, mults=(1, 2), blocks=1, channels=channels, table=20))
    state = theirs(network.state_dict())
    torch.save({"net_model": state, "ema_model": state, "step": 7}, "ckpt.pt")
    code, out, err = run("import", "pytorch-ddpm", "ckpt.pt", "run", "--size", "8")
    total = sum(parameter.numel() for parameter in network.parameters())
    assert (code, err) == (0, "") and f"run: {total:,} parameters of step 7" in out
    recipe = runs.recipe_of("run")
    assert type(recipe.data) is (Grey if channels == 1 else image_folder.Config) and recipe.data.height == 8
    assert recipe.diffusion.schedule == LinearBeta(steps=20, scale=False)
    assert run("sample", "run", "--count", "1", "--steps", "2", "--out", "new").code == 0
    assert run("export", "diffusers", "run", "out").code == 0


def test_no_format_says_more_than_it_knows(run):
    for words, said in (
        (["import", "pytorch-ddpm", "a.pt", "new", "--frames", "3"], "--frames=3 says nothing to pytorch-ddpm; leave"),
        (["import", "pytorch_ddpm", "a.pt", "new"], 'did you mean "pytorch-ddpm"?'),
        (["import", "diffusers-unet", "a.pt", "new"], "is no format that can be imported"),
        (["export", "pytorch-ddpm", "run", "new"], '"pytorch-ddpm" is no format that can be exported'),
    ):
        code, out, err = run(*words)
        assert code == 2 and not out and said in err and err.count("\n") == 1


def test_what_cannot_be_exported(run):
    trained()
    trained("simple", simple_unet.Config(width=8, mults=(1, 2)), diffusion=Diffusion(schedule=LinearBeta()))
    trained("peer", ddp_unet.Config(width=8, mults=(1, 2), attention=(1,)), diffusion=Diffusion(schedule=LinearBeta()))
    Path("full").mkdir()
    Path("full/file").touch()
    before = sorted(Path().rglob("*"))
    for code, words, said in (
        (2, ["simple", "out"], "UNet2DModel cannot express the network simple_unet"),
        (2, ["peer", "out"], "UNet2DModel cannot express the network ddp_unet"),
        (2, ["run", "full"], "full exists; give a new folder"),
        (2, ["run", "out", "--label", "cat"], "--label cat: the run was trained without labels"),
        (2, ["run", "out", "--weights", "best"], 'weights="best" is unknown'),
        (65, ["full", "out"], "full is not a run"),
    ):
        left = run("export", "diffusers", *words)
        assert left.code == code and said in left.err and left.err.count("\n") == 1
        assert sorted(Path().rglob("*")) == before


def test_what_cannot_be_imported(run):
    trained()
    assert run("export", "diffusers", "run", "out").code == 0
    change = json.loads(Path("out/unet/config.json").read_text()) | {"act_fn": "mish"}
    Path("out/unet/config.json").write_text(json.dumps(change))
    for code, words, said in (
        (65, ["missing", "new"], "missing is not a folder"),
        (65, ["out", "new"], 'unet/config.json has act_fn="mish", which ours cannot express; expected'),
        (2, ["out", "run"], "run exists; give a new folder"),
    ):
        left = run("import", "diffusers", *words)
        assert left.code == code and said in left.err and left.err.count("\n") == 1 and not Path("new").exists()


def test_a_run_is_packed_to_be_passed_on(run):
    trained()
    code, out, err = run("pack", "run", "packed")
    assert (code, err) == (0, "") and "the averaged weights of step-00000003" in out
    before, after = runs.load("run"), runs.load("packed")
    raw = dict(runs.load("run", weights="raw").named_parameters())
    for name, parameter in after.named_parameters():
        averaged = dict(before.named_parameters())[name]
        assert parameter.dtype == torch.float32 and torch.equal(parameter, averaged.half().float())
        assert parameter.std() == 0 or not torch.equal(parameter, raw[name].half().float())
    size = sum(file.stat().st_size for file in runs.newest("packed").glob("*.safetensors"))
    assert size < 0.6 * runs.newest("run").joinpath("model.safetensors").stat().st_size
    assert run("pack", "run", "exact", "--no-half").code == 0
    assert all(map(torch.equal, runs.load("exact").state_dict().values(), before.state_dict().values()))
    assert run("sample", "packed", "--count", "1", "--steps", "2", "--out", "new").code == 0
    assert run("pack", "run", "packed").err == "filmgrain: packed exists; give a new folder\n"
