"""State dicts of the peers, read by load_state_dict where a script gives it one; what it writes has our names."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ..interop import Refused

State = dict[str, Tensor]


def of_unet(unet: nn.Module, first: str, convert: Callable[[State], State]) -> None:
    """A Unet reads theirs: known by the tensor `first`, and converted for unet.network. Raises interop.Refused then."""

    def renamed(module: nn.Module, state: State, prefix: str, *_: Any) -> None:
        if prefix + first not in state:
            return
        theirs = {name.removeprefix(prefix): state.pop(name) for name in list(state) if name.startswith(prefix)}
        alike = {name: theirs.pop(name) for name in module.state_dict() if name in theirs}
        try:
            ours = alike | {f"network.{name}": tensor for name, tensor in convert(theirs).items()}
        except Refused as error:
            raise Refused(f"the state dict {error}") from None
        state.update({prefix + name: tensor for name, tensor in ours.items()})

    unet.register_load_state_dict_pre_hook(renamed)


def of_diffusion(diffusion: nn.Module, unet: str, steps: int) -> None:
    """A GaussianDiffusion reads theirs: without what they compute from the betas, which must be of as many steps."""

    def without_tables(module: nn.Module, state: State, prefix: str, *_: Any) -> None:
        betas = state.get(f"{prefix}betas")
        if betas is not None and len(betas) != steps:
            raise ValueError(
                f"the state dict is of {len(betas)} steps; make GaussianDiffusion with timesteps={len(betas)}"
            )
        for name in [name for name in state if not name.startswith(f"{prefix}{unet}.")]:
            del state[name]

    diffusion.register_load_state_dict_pre_hook(without_tables)
