"""Start-up: seconds until a package is imported, and until `filmgrain --help` has answered, each in a new process."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

from paired import Rounds, in_turn

COMMANDS = {
    "Python alone": "pass",
    "import torch": "import torch",
    "import filmgrain": "import filmgrain",
    "import filmgrain, and all that trains": "import filmgrain; filmgrain.train; filmgrain.sample",
    "from video_diffusion_pytorch import Unet3D": "from video_diffusion_pytorch import Unet3D",
    "from denoising_diffusion_pytorch import Unet": "from denoising_diffusion_pytorch import Unet",
    "from diffusers import UNet2DModel": "from diffusers import UNet2DModel",
}
HELP = "filmgrain --help"
ASKS_FOR_TORCH = "import sys, filmgrain.cli; sys.exit('torch' in sys.modules)"


def measured(repeats: int) -> Rounds:
    runs: dict[str, Callable[[], float]] = {
        name: partial(_seconds, sys.executable, "-c", code) for name, code in COMMANDS.items()
    }
    runs[HELP] = partial(_seconds, str(Path(sys.executable).with_name("filmgrain")), "--help")
    return in_turn(runs, repeats)


def help_imports_torch() -> bool:
    return subprocess.run([sys.executable, "-c", ASKS_FOR_TORCH], check=False).returncode != 0


def _seconds(*command: str) -> float:
    start = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return perf_counter() - start
