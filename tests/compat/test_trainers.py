"""A Trainer's folder of results: a run with milestones, which goes on where it was left, exactly."""

from pathlib import Path

import pytest
import torch

from filmgrain import runs
from filmgrain.cli import main
from filmgrain.compat import denoising_diffusion_pytorch as images
from filmgrain.compat import video_diffusion_pytorch as videos
from filmgrain.data import NoData
from filmgrain.training import ResumeRefused

SMALL = {"train_batch_size": 2, "save_and_sample_every": 2, "gradient_accumulate_every": 2, "train_lr": 1e-2}
SMALL |= {"num_sample_rows": 1, "step_start_ema": 1, "update_ema_every": 1}


def diffusion(**settings) -> videos.GaussianDiffusion:
    torch.manual_seed(0)
    unet = videos.Unet3D(dim=8, dim_mults=(1, 2), attn_heads=2, attn_dim_head=8)
    return videos.GaussianDiffusion(unet, **{"image_size": 8, "num_frames": 3, "timesteps": 3} | settings)


def trainer(steps: int, **settings) -> videos.Trainer:
    return videos.Trainer(diffusion(), "data", train_num_steps=steps, **SMALL | settings)


def weights(model) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in model.state_dict().values()])


def test_going_on_is_as_if_never_left():
    whole = trainer(4, results_folder="whole")
    whole.train()
    trainer(2).train()
    second = trainer(4)
    second.load(-1)
    assert second.step == 2
    second.train()
    assert second.step == 4 and torch.equal(weights(second.model), weights(whole.model))
    assert torch.equal(weights(second.ema_model), weights(whole.ema_model))


def test_the_command_line_goes_on_too():
    trainer(2).train()
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["train", "--resume", "--run", "results", "--steps", "3"])
    whole = trainer(3, results_folder="whole")
    whole.train()
    assert torch.equal(weights(runs.load("results").network), weights(whole.ema_model.denoise_fn.network))


def test_training_leaves_the_generator_as_it_was():
    third = trainer(2)
    torch.manual_seed(3)
    third.train()
    drawn = torch.rand(4)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(4))


def test_milestones_are_the_checkpoints_of_a_run():
    first = trainer(4)
    first.save(0)
    start = weights(first.model).clone()
    first.train()
    end = weights(first.model).clone()
    assert sorted(path.name for path in Path("results/checkpoints").iterdir()) == [
        "step-00000000",
        "step-00000002",
        "step-00000004",
    ]
    first.save("final")
    first.load(1)
    assert first.step == 2 and not torch.equal(weights(first.model), end)
    first.load(0)
    assert torch.equal(weights(first.model), start)
    first.load("latest")
    assert torch.equal(weights(first.model), end)

    averaged = first.ema_model
    assert not averaged.training and not torch.equal(weights(averaged), end)
    assert torch.equal(weights(averaged.denoise_fn.network), weights(runs.load("results").network))
    assert torch.equal(weights(first.model), end)  # a copy


def test_nothing_is_trained_over():
    trainer(2).train()
    again = trainer(4)
    with pytest.raises(ResumeRefused, match=r"results holds step 2, and the weights are of step 0; go on .*load\(-1\)"):
        again.train()
    with pytest.raises(runs.NotARun, match=r"has no step-00000006, milestone 3; it holds step-00000000, step-00000002"):
        again.load(3)


def test_results_of_the_other_package_are_named():
    Path("results").mkdir()
    Path("results/model-7.pt").touch()
    with pytest.raises(runs.NotARun, match=r'by diffusion.load_state_dict\(torch.load\("results/model-7.pt"\)'):
        trainer(2).load(7)


def test_what_is_not_said_is_as_theirs():
    recipe = videos.Trainer(diffusion(), "data").recipe
    assert (recipe.train.steps, recipe.train.batch, recipe.train.accumulate) == (100_000, 32, 2)
    assert (recipe.train.lr, recipe.train.clip, recipe.train.warmup) == (1e-4, 0.0, 0)
    assert (recipe.train.optimizer, recipe.train.betas, recipe.train.weight_decay) == ("adam", (0.9, 0.999), 0.0)
    assert (recipe.train.ema, recipe.train.ema_start, recipe.train.ema_every) == (0.995, 2000, 10)
    assert (recipe.train.save_every, recipe.train.preview_every, recipe.task.previews) == (1000, 1000, 16)
    assert (recipe.task.distance, recipe.train.precision, recipe.data.held_out) == ("l1", "float32", 0.0)

    unet = images.Unet(dim=8, dim_mults=(1, 2))
    folder = "path/to/your/images"
    recipe = images.Trainer(images.GaussianDiffusion(unet, image_size=8, sampling_timesteps=250), folder).recipe
    assert (recipe.train.steps, recipe.train.batch, recipe.train.accumulate) == (100_000, 16, 1)
    assert (recipe.train.clip, recipe.train.betas, recipe.data.flip) == (1.0, (0.9, 0.99), True)
    assert (recipe.train.ema, recipe.train.ema_start, recipe.train.ema_every) == (0.995, 100, 10)
    assert (recipe.sample.sampler, recipe.sample.steps, recipe.task.previews) == ("ddim", 250, 25)
    assert (recipe.diffusion.prediction, type(recipe.diffusion.schedule).__name__) == ("v", "SigmoidBeta")


REFUSED = {
    "strings": (lambda: diffusion()(torch.rand(1, 3, 3, 8, 8), cond=["a whale"]), "cond is a list, and texts are"),
    "another size": (lambda: diffusion()(torch.rand(1, 3, 4, 8, 8)), r"\(1, 3, 4, 8, 8\); expected \(b, 3, 3, 8, 8\)"),
    "a condition": (lambda: diffusion()(torch.rand(1, 3, 3, 8, 8), cond=torch.rand(1, 4)), "made for condition=0"),
    "the present": (lambda: diffusion()(torch.rand(1, 3, 3, 8, 8), prob_focus_present=0.5), "attends to all frames"),
    "a mask": (lambda: trainer(2).train(focus_present_mask=torch.ones(9, 9)), "attends to all frames"),
    "a log": (lambda: trainer(2).train(log_fn=print), "see results/metrics.jsonl"),
    "two widths": (lambda: videos.Unet3D(8, init_dim=12), "init_dim=12 is not to be had; unet3d has one width"),
    "other channels": (lambda: diffusion(channels=1), "channels=1 is not to be had; give those of the Unet3D"),
    "another loss": (lambda: diffusion(loss_type="l3"), 'distance="l3" is unknown; use one of l2, l1, huber'),
    "self-conditioning": (lambda: images.Unet(8, self_condition=True), "self_condition=True is not to be had; "),
    "heads by level": (lambda: images.Unet(8, attn_heads=(1, 2, 3, 4)), r"attn_heads=\(1, 2, 3, 4\); ddp_unet has the"),
    "an objective": (lambda: picture(objective="eps"), "objective='eps' is none of pred_noise, pred_x0, pred_v"),
    "grey pictures": (lambda: images.Trainer(picture(channels=1), "data"), "channels=1, but the data have 3"),
    "too many steps": (lambda: picture(timesteps=4, sampling_timesteps=9), "steps=9 is more than the 4 levels"),
    "offset noise": (lambda: picture(offset_noise_strength=0.1), "offset_noise_strength=0.1 is not to be had"),
    "the best": (lambda: images.Trainer(picture(), "data", save_best_and_latest_only=True), "all milestones are kept"),
}  # fmt: skip


def picture(*, channels=3, **settings) -> images.GaussianDiffusion:
    unet = images.Unet(dim=8, dim_mults=(1, 2), channels=channels)
    return images.GaussianDiffusion(unet, image_size=8, **settings)


@pytest.mark.parametrize(("call", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_here_is_refused_in_a_line(call, reason):
    with pytest.raises(ValueError, match=reason) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_a_second_diffusion_trains_the_same_network_on_pictures():
    clips = diffusion()
    pictures = videos.GaussianDiffusion(clips.denoise_fn, image_size=8, num_frames=1, timesteps=3)
    (clips(torch.rand(1, 3, 3, 8, 8)) + pictures(torch.rand(4, 3, 1, 8, 8))).backward()
    assert clips.denoise_fn.network is pictures.inside.model.network


def test_an_unknown_argument_is_a_type_error():
    with pytest.raises(TypeError, match='Unet3D has no argument attn_head; did you mean "attn_heads"'):
        videos.Unet3D(8, attn_head=4)
    with pytest.raises(TypeError, match='Trainer has no argument train_steps; did you mean "train_num_steps"'):
        videos.Trainer(diffusion(), "data", train_steps=4)


def test_a_folder_without_videos_is_found_at_once():
    Path("none").mkdir()
    with pytest.raises(NoData, match="none"):
        videos.Trainer(diffusion(), "none")
