"""A caption of known words, read by a small encoder that learns with the network: nothing has to be downloaded.

    words -> embedding + position -> transformer -> LayerNorm -> sum -> Linear -> one vector

For captions from a small world, such as "a red circle moving left"; free text is conditioning/text.py's. A transformer
may make two words one whose difference is not yet of use, for good; words by themselves (layers = 0) stay apart.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as nnf
from jaxtyping import Int
from torch import Tensor, nn

from ..autoencoders import Codec
from ..diffusion.cond import Cond
from ..diffusion.draw import Draw
from . import check_drop

WORD = re.compile(r"[^\W_]+")  # letters and digits, whatever the script
PADDING, UNKNOWN = 0, 1  # rows of the table before those of the vocabulary


def split(caption: str) -> list[str]:
    """The words of a caption, without regard to case and punctuation."""
    return WORD.findall(caption.casefold())


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is read, and by how large an encoder."""

    vocabulary: tuple[str, ...]  # words that are known; all others are one and the same
    length: int = 32  # words of a caption that are read
    width: int = 64  # features of a word
    heads: int = 4  # of attention among words
    layers: int = 2  # of the transformer; 0: each word by itself
    drop: float = 0.1  # of the items are trained without their caption; 0 leaves nothing to guide by
    examples: tuple[str, ...] = ()  # prompts of the previews; none: previews without a prompt

    def __post_init__(self) -> None:
        if not self.vocabulary or len(set(self.vocabulary)) < len(self.vocabulary):
            raise ValueError(f"vocabulary of {len(self.vocabulary)} words is empty or has a word twice; name each once")
        if unclean := [word for word in self.vocabulary if split(word) != [word]]:
            raise ValueError(f'vocabulary holds "{unclean[0]}", which is no single word in lower case; write it as one')
        for name in ("length", "width", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is not positive")
        if self.layers < 0:
            raise ValueError(f"layers={self.layers} is negative; use 0 for words by themselves")
        if self.width % self.heads:
            raise ValueError(f"width={self.width} is not a multiple of heads={self.heads}; use one")
        check_drop(self.drop)

    def check(self, *, classes: Sequence[str] | None, captions: bool) -> None:
        """Raises ValueError where the data have no captions."""
        if not captions:
            raise ValueError("conditions.words needs data with captions; these have none")

    def unknown(self, caption: str) -> list[str]:
        """Words of a caption that this vocabulary does not hold."""
        return [word for word in dict.fromkeys(split(caption)) if word not in self.vocabulary]

    def remarks(self, captions: Sequence[str]) -> list[str]:
        """What of these captions is not read, a sentence each."""
        strange = list(dict.fromkeys(word for caption in captions for word in self.unknown(caption)))
        long = [count for count in map(len, map(split, captions)) if count > self.length]
        known = len(self.vocabulary)
        said = (
            [f"{', '.join(strange[:8])}: not of the {known} words that are known; read as any word"] if strange else []
        )
        if long:
            which = f"{len(long)} of {len(captions)} captions have over {self.length} words, one has {max(long)}"
            said.append(f"{which}; the rest of them is not read")
        return said


class Conditioner(nn.Module):
    key = "caption"

    def __init__(self, config: Config, *, vector: int):
        super().__init__()
        self.config, self.drop = config, config.drop
        self.rows = {word: row for row, word in enumerate(config.vocabulary, start=UNKNOWN + 1)}
        self.table = nn.Embedding(len(self.rows) + 2, config.width, padding_idx=PADDING)
        self.position = nn.Parameter(torch.randn(config.length, config.width) * 0.02)
        self.encoder = _transformer(config) if config.layers else None
        self.norm = nn.LayerNorm(config.width)
        self.out = nn.Linear(config.width, vector)
        nn.init.normal_(self.out.weight, std=config.width**-0.5)  # so that one other word is seen from the first step
        self.nothing = nn.Parameter(torch.zeros(vector))

    def forward(self, batch: dict[str, Any], draw: Draw, codec: Codec) -> Cond:
        words = self.read(batch[self.key])
        empty = (words == PADDING).all(1)
        h = self.table(words) + self.position[: words.shape[1]]
        h = h if self.encoder is None else self.encoder(h, src_key_padding_mask=_hidden(words))
        vector = self.out(self.norm(h).masked_fill((words == PADDING)[..., None], 0).sum(1))
        return Cond(vector=torch.where(empty[:, None], self.nothing, vector))

    def read(self, captions: Sequence[str]) -> Int[Tensor, "b n"]:
        """Rows of the table, padded to the longest caption. A caption of more than `length` words loses its end."""
        rows = [[self.rows.get(word, UNKNOWN) for word in split(caption)][: self.config.length] for caption in captions]
        longest = max(1, *map(len, rows))
        padded = [row + [PADDING] * (longest - len(row)) for row in rows]
        return torch.tensor(padded, device=self.nothing.device)

    def null(self, count: int) -> Cond:
        return Cond(vector=self.nothing.expand(count, -1))

    def examples(self, count: int) -> Sequence[str]:
        prompts = self.config.examples or ("",)
        return [prompts[i % len(prompts)] for i in range(count)]


def _transformer(config: Config) -> nn.Module:
    width = config.width
    layer = nn.TransformerEncoderLayer(width, config.heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)


def _hidden(words: Int[Tensor, "b n"]) -> Tensor:
    """Where there is no word; the first place of an empty caption stays, since attention to nothing is not a number."""
    return nnf.pad(words[:, 1:] == PADDING, (1, 0))
