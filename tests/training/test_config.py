from dataclasses import replace
from typing import Any

import pytest

from filmgrain.training import Config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0), ("batch", 0), ("accumulate", -1), ("keep", 0), ("log_every", 0), ("save_every", 0), ("lr", 0.0),
        ("betas", (0.9, 1.0)), ("betas", (0.9,)), ("ema", 1.0), ("ema", -0.1), ("clip", -1.0), ("warmup", -1),
        ("optimizer", "sgd"), ("precision", "float16"), ("schedule", "linear"), ("workers", -1),
        ("recompute", -2),
    ],
)  # fmt: skip
def test_an_impossible_value_is_refused_in_one_line(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^train\.{name}=.* must be .*$"):
        replace(Config(), **{name: value})


def test_blocks_are_compiled_or_recomputed() -> None:
    with pytest.raises(
        ValueError, match=r"^train\.compile=true is not allowed; it must be false where train\.recompute"
    ):
        Config(compile=True, recompute=-1)
