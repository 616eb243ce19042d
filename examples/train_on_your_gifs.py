"""Trains on a folder of GIFs or other videos and writes new ones: python examples/train_on_your_gifs.py clips

What `filmgrain plan`, `train` and `sample` do, in Python. Run it again with --resume to go on.
"""

import argparse
from pathlib import Path

import filmgrain
from filmgrain.generate.videos import generate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", type=Path, default=Path("runs/gifs"))
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as network.width=48")
    parser.add_argument("--count", type=int, default=4, help="new videos to write")
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()

    recipe = filmgrain.for_folder(args.folder)  # frames, size, pace and network chosen from the files
    recipe = filmgrain.override(recipe, [f"train.steps={args.steps}", *args.set])
    filmgrain.train(recipe, args.run, resume=args.resume)

    model = filmgrain.load(args.run)  # averaged weights
    videos = generate(model, args.count, config=recipe.sample, seed=0)
    for number, video in enumerate(videos):
        path = args.run / f"new-{number}.gif"
        filmgrain.save_video(video, path, fps=recipe.sample.fps)
        print(path)


if __name__ == "__main__":
    main()
