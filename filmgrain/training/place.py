"""Where a run computes: its device and its precision."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


class NoDevice(Exception):
    """A device that is asked for and is not here."""


@dataclass(frozen=True)
class Place:
    device: torch.device
    dtype: torch.dtype  # that autocast computes in; float32 is no autocast

    @classmethod
    def choose(cls, device: str, precision: str) -> "Place":
        """`auto` is the first of cuda, mps, cpu; and bfloat16 where the hardware computes in it. Raises `NoDevice`."""
        chosen = _device(_best_device() if device == "auto" else device)
        if chosen.type == "cuda" and precision != "float32":  # float32 asked for by name is float32
            torch.set_float32_matmul_precision("high")  # TF32
            torch.backends.cudnn.allow_tf32 = True
        half = precision == "bfloat16" or (precision == "auto" and _has_bfloat16(chosen))
        return cls(chosen, torch.bfloat16 if half else torch.float32)

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def move(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Tensors to the device, but for the draw numbers "n": seeds are made of them, on the host.

        Float64, which numbers of Python become, goes as float32: MPS has no other, and one result is to come of all.
        """

        def moved(value: Tensor) -> Tensor:
            return value.to(self.device, torch.float32 if value.dtype == torch.float64 else value.dtype)

        moving = {key for key, value in batch.items() if isinstance(value, Tensor) and key != "n"}
        return {key: moved(value) if key in moving else value for key, value in batch.items()}

    def __str__(self) -> str:
        return f"{self.device}, {str(self.dtype).removeprefix('torch.')}"


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # of its name; of a PyTorch that was built without it
        reason = str(error).splitlines()[0]
        raise NoDevice(f'device="{name}" cannot be used here ({reason}); use "auto" or "cpu"') from None
    return device


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def reads_the_flag(device: torch.device) -> bool:
    """Whether a device's fused Adam obeys `found_inf`; that of MPS did not before June 2026 (pytorch #186360)."""
    return device.type != "mps"
