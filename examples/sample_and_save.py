"""Samples a run with each of two samplers from the same noise: python examples/sample_and_save.py runs/clips

Sample n starts from the same noise whatever the sampler, the number of steps or the batch, so that rows of the sheet
can be compared.
"""

import argparse
from pathlib import Path

import filmgrain
from filmgrain.files.encode import write_gif
from filmgrain.files.sheet import contact_sheet
from filmgrain.generate.videos import generate, to_uint8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("samples"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    model = filmgrain.load(args.run)
    clips = []
    for sampler, options in {"ddim": {"eta": 0.0}, "ancestral": {"gamma": 0.3}}.items():
        config = filmgrain.Sampling(sampler=sampler, steps=args.steps, options=options)
        videos = generate(model, args.count, seed=args.seed, config=config)  # (count, c, f, h, w) in [-1, 1]
        for number, video in enumerate(videos):
            filmgrain.save_video(video, args.out / f"{sampler}-{number}.mp4", fps=config.fps)
        clips += list(to_uint8(videos).numpy())
    sheet = contact_sheet(clips, columns=args.count, labels=["ddim", "ancestral"])
    write_gif(args.out / "sheet.gif", sheet, fps=8)
    print(args.out / "sheet.gif")


if __name__ == "__main__":
    main()
