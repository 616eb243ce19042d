"""One thread; and every annotation of the rooms of mathematics and networks is held at run time, shapes included."""

import torch
from jaxtyping import install_import_hook

torch.set_num_threads(1)
# Not samplers: the wrapper would hide from torch.no_grad that they are generators, and gradients would be kept.
install_import_hook(
    [f"filmgrain.{room}" for room in ("diffusion", "guidance", "networks", "blocks", "model")], "typecheck.checked"
)
