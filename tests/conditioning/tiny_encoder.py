"""Text encoders of random weights, made from a configuration: a few kilobytes, and no network."""

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "blue", "circle", "square", "triangle", "moving", "left")
SMALL = {"vocab_size": len(WORDS), "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 8}


def write(folder: Path, kind: str = "bert", seed: int = 0) -> str:
    torch.manual_seed(seed)
    network(kind).save_pretrained(folder)
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=made, **special).save_pretrained(folder)
    return str(folder)


def network(kind: str) -> torch.nn.Module:
    if kind == "t5":
        config = {"vocab_size": len(WORDS), "d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 2, "num_heads": 2}
        return transformers.T5EncoderModel(transformers.T5Config(**config))
    if kind == "clip_text_model":
        config = SMALL | {"intermediate_size": 16, "max_position_embeddings": 12, "eos_token_id": 3}
        return transformers.CLIPTextModel(transformers.CLIPTextConfig(**config))
    config = SMALL | {"intermediate_size": 16, "max_position_embeddings": 12}
    if kind == "roberta":
        return transformers.RobertaModel(transformers.RobertaConfig(**config, pad_token_id=0))
    return transformers.BertModel(transformers.BertConfig(**config))
