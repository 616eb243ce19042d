"""`filmgrain denoise | vary | between RUN FILE`: what a model makes of pictures or videos that are there already."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from .. import __version__
from .console import say
from .errors import Usage, usage
from .flags import Device, RunFolder
from .wishes import heard

if TYPE_CHECKING:
    from torch import Tensor

    from ..diffusion.cond import Cond
    from ..generate.sampling import Config
    from ..model import DiffusionModel

File = Annotated[Path, Argument(help="A picture, or a video for a model of videos.")]
Out = Annotated[Path | None, Option(help="File to write (.png, .gif or .mp4); by default beside what was given.")]
Seed = Annotated[int, Option(help="The same seed gives the same result.")]
Settings = Annotated[list[str] | None, Option("--set", metavar="KEY=VALUE", help="Such as sample.steps=100.")]


def denoise(
    run: RunFolder,
    noisy: File,
    sigma: Annotated[float, Option(help="Standard deviation of the noise, in levels of 0 to 255.")],
    out: Out = None,
    sharp: Annotated[bool, Option("--sharp", help="A sample of what may lie behind, not the mean of it all.")] = False,
    seed: Seed = 0,
    settings: Settings = None,
    device: Device = "auto",
) -> None:
    """Take Gaussian noise of known strength from a picture or video: a known noise is a level of the model."""
    from ..generate import edit

    model, config = _model(run, settings, device)
    x = _read(noisy, model)[None]
    with usage():
        made = edit.denoise(model, x, sigma / 127.5, config=config, seed=seed, mean=not sharp)
    _write(made[0], out or _beside(noisy, "denoised", made[0]), config, run=run, file=noisy, sigma=sigma, sharp=sharp)


def vary(
    run: RunFolder,
    file: File,
    logsnr: Annotated[float, Option(help="Level up to which noise is added; lower changes more, such as 2, 0 or -2.")],
    prompt: Annotated[str, Option(metavar="TEXT", help="What to show, of a run with captions.")] = "",
    out: Out = None,
    seed: Seed = 0,
    settings: Settings = None,
    device: Device = "auto",
) -> None:
    """Make something like a picture or video: noise is added up to a level and sampled away again (SDEdit)."""
    from ..generate import edit

    model, config = _model(run, settings, device)
    x = _read(file, model)[None]
    with usage():
        made = edit.vary(model, x, logsnr, config=config, seed=seed, cond=_said(run, model, prompt))
    how = {"run": run, "file": file, "logsnr": logsnr, "seed": seed} | ({"prompt": prompt} if prompt else {})
    _write(made[0], out or _beside(file, "varied", made[0]), config, **how)


def between(
    run: RunFolder,
    ends: Annotated[list[str], Argument(help="Two pictures or videos; or two numbers of samples, such as 3 7.")],
    count: Annotated[int, Option(min=2, help="Steps of the way, both ends among them.")] = 8,
    logsnr: Annotated[float | None, Option(help="Level to which both are taken; the noisiest by default.")] = None,
    out: Out = None,
    seed: Annotated[int, Option(help="Of the samples that are given by number.")] = 0,
    settings: Settings = None,
    device: Device = "auto",
) -> None:
    """Draw the way from one picture or video to another, or from one sample to another, through their noises."""
    from ..generate import edit

    if len(ends) != 2:
        raise Usage(f"{len(ends)} ends; give two pictures or videos, or the numbers of two samples")
    model, config = _model(run, settings, device)
    with usage():
        if all(end.isdecimal() and not Path(end).exists() for end in ends):
            pair = int(ends[0]), int(ends[1])
            way = edit.between_noises(model, seed, pair, count, config=config)
        else:
            a, b = (_read(Path(end), model) for end in ends)
            way = edit.between(model, a, b, count, logsnr=logsnr, config=config)
    _write(way, out or Path("between.gif" if way.ndim == 5 else "between.png"), config, run=run, ends=ends, seed=seed)


def _model(run: Path, settings: list[str] | None, device: str) -> "tuple[DiffusionModel, Config]":
    from .. import runs
    from ..recipe import load, override

    checkpoint = runs.newest(run)
    for setting in settings or ():
        if not setting.startswith("sample."):
            raise Usage(f"--set {setting}: only sample.* can be set here; the rest is as it was trained")
    with usage():
        model = runs.load_checkpoint(checkpoint, device=device)
    return model, override(load(checkpoint / "recipe.toml"), settings or ()).sample


def _said(run: Path, model: "DiffusionModel", prompt: str) -> "Cond | None":
    """The condition of a prompt; what of it is not read is said. None of no prompt."""
    from .. import runs
    from ..diffusion.draw import Draw

    if not prompt:
        return None
    heard(runs.recipe_of(run), [prompt])
    return model.condition({"caption": [prompt]}, Draw(0, (0,)))


def _read(path: Path, model: "DiffusionModel") -> "Tensor":
    """A picture or video as the model's data: scaled and cropped to its size, as many frames as it makes."""
    from ..data.given import read_video

    x, frames = read_video(path, model.shape), model.shape[1:-2]
    wanted = frames[0] if frames else 1
    if x.shape[1] < wanted:
        raise Usage(f"{path} has {x.shape[1]} frames, and the model makes {wanted}; give a longer one")
    return (x[:, :wanted] if frames else x[:, 0]).contiguous().to(next(model.parameters()).device)


def _beside(path: Path, word: str, made: "Tensor") -> Path:
    return path.with_name(f"{path.stem}-{word}{'.gif' if made.ndim == 4 else '.png'}")


def _write(made: "Tensor", out: Path, config: "Config", **how: Any) -> None:
    """One result (c h w) or (c f h w), or a row of them, with the recipe of its making inside."""
    from ..files.encode import write_gif, write_mp4
    from ..files.image import write_png
    from ..files.sheet import contact_sheet
    from ..generate.videos import to_uint8

    still = made.ndim == 3 or (made.ndim == 4 and how.get("ends") is not None)
    clips = made if "ends" in how else made[None]
    frames = to_uint8(clips[:, :, None] if still else clips).expand(-1, -1, -1, -1, 3).numpy()
    sheet = contact_sheet(
        list(frames), columns=len(frames), scale=None if len(frames) > 1 else 1, gap=2 * (len(frames) > 1)
    )
    recipe = {"filmgrain": __version__, **{key: str(value) for key, value in how.items()}, **asdict(config)}
    writers: dict[str, Callable[[], None]] = {
        ".png": lambda: write_png(out, sheet[0], recipe),
        ".gif": lambda: write_gif(out, sheet, config.fps, recipe),
        ".mp4": lambda: write_mp4(out, sheet, config.fps, recipe),
    }
    possible = [".png"] if still else [".gif", ".mp4"]
    if out.suffix.lower() not in possible:
        raise Usage(f'--out {out} ends in "{out.suffix}"; this is written as {" or ".join(possible)}')
    out.parent.mkdir(parents=True, exist_ok=True)
    writers[out.suffix.lower()]()
    say(str(out))
