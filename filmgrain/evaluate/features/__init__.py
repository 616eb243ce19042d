"""Feature extractors: pictures or clips to vectors, in which samples and data are compared. One a file, with `load`:

    load(*, file: Path | None = None, data: Dataset | None = None, called: str = "", progress=...) -> Extractor

file: of weights. data, called: what a classifier is trained on, and its name. Raises ValueError for what it lacks or
cannot use, interop.Refused for a file that is not what it takes it for.

The name of an extractor, with the first digits of its weights' hash in it, stands in the name of every number that is
made with it, such as fd[small28-fashion-1a2b]; numbers of different extractors have nothing to say to each other.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from ...files import tensors
from ...interop import Refused, about, torch_file
from ...interop.state_dict import fit

DIGITS = 4  # of the hash that a name shows
NOT_FID, NOT_FVD = "not comparable with FID", "not comparable with FVD"
Progress = Callable[[int, int], None]
BatchNorm = nn.BatchNorm2d | nn.BatchNorm3d


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """A network that makes features of pictures or of clips, and all that has to be said of it."""

    network: nn.Module  # bytes (b, 3, h, w), or (b, 3, f, h, w), to features (b, size); in evaluation mode
    kind: str  # such as "inception"
    size: int  # features
    resize: str  # how pictures come to the size that the network wants
    fid: bool = False  # its Fréchet distance may be called FID
    comparable: str = NOT_FID  # with what, where its numbers are printed
    about: str = ""  # whatever else a reader should know
    clips: bool = False  # takes clips; its Fréchet distance is called fvd
    frames: int = 1  # the fewest of a clip that it takes

    @cached_property
    def sha256(self) -> str:
        """Of the weights alone: the same for every file that holds them."""
        found = hashlib.sha256()
        for name, tensor in sorted(self.network.state_dict().items()):
            found.update(f"{name} {tuple(tensor.shape)}".encode())
            found.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.sha256[:DIGITS]}"

    @torch.no_grad()
    def __call__(self, images: UInt8[Tensor, "b 3 *fhw"]) -> Float[Tensor, "b d"]:
        """Features in float64 on the CPU, computed where the network is."""
        device = next(self.network.parameters()).device
        return self.network(images.to(device)).cpu().double()  # in this order: MPS has no float64


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a `.pt` or `.pth` file. Raises files.Malformed and interop.Refused."""
    if path.suffix == ".safetensors":
        return tensors.load(path)
    contents = torch_file.load(path)
    if not isinstance(contents, dict) or not all(isinstance(tensor, Tensor) for tensor in contents.values()):
        raise Refused(f"{path} holds other things than tensors by name; expected a network's state dict")
    return contents


def fill(network: nn.Module, state: dict[str, Tensor], path: Path, kind: str, unused: tuple[str, ...] = ()) -> None:
    """Puts weights into a network made on the meta device; `unused` are beginnings of names it has no place for.

    Raises interop.Refused, which names the first tensor that differs.
    """

    def spare(name: str, tensor: Tensor) -> bool:
        return name.endswith("num_batches_tracked") or name.startswith(unused)

    with about(path):
        fitted = fit(state, lambda: network, lambda name: (name,), kind, spare)
    network.load_state_dict(fitted, assign=True, strict=False)  # torch would have the counts that `norm` leaves out
    network.eval().requires_grad_(False)


def norm(channels: int, eps: float = 1e-5, of: type[BatchNorm] = nn.BatchNorm2d) -> BatchNorm:
    """A batch norm without its count of batches, which no feature depends on and some files lack."""
    made = of(channels, eps=eps)
    made.num_batches_tracked = None
    return made
