"""Run: the folder that a training run writes, and the recipe it is bound to."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What may change between two parts of a run: what the weights after a given step do not depend on; and steps, and
# what they are computed on and how, so that a run can be prolonged or moved to another machine.
_PACE = (
    "save_every",
    "keep",
    "validate_every",
    "preview_every",
    "log_every",
    "nonfinite_limit",
    "tensorboard",
    "workers",
)
FREE = frozenset(
    f"train.{name}" for name in ("steps", "device", "precision", "sharded", "recompute", "compile", *_PACE)
)


class ResumeRefused(Exception):
    """A run cannot be continued, or not with this recipe: one line that says what was found and what to do."""


@dataclass(frozen=True, kw_only=True)
class Run:
    folder: Path
    recipe: str = ""  # TOML, kept beside the weights and compared on resume
    free: tuple[str, ...] = ("sample",)  # sections or keys of the recipe that may change on resume, besides FREE
    reread: Callable[[str], str] = str  # a saved recipe as written today: with the defaults of fields that it predates

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def previews(self) -> Path:
        return self.folder / "previews"

    def check_recipe(self, saved: str) -> None:
        """Raises `ResumeRefused` with each difference from the recipe that the checkpoint was trained with."""
        old, new = flat(tomllib.loads(self.reread(saved))), flat(tomllib.loads(self.recipe))
        changed = [
            f"{key} was {old.get(key, 'unset')!r} and is {new.get(key, 'unset')!r}"
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key) and key not in FREE and not self._is_free(key)
        ]
        if changed:
            raise ResumeRefused(
                f"{self.folder} was trained with another recipe: {'; '.join(changed)}; undo this, or use another run"
            )

    def _is_free(self, key: str) -> bool:
        return any(key == name or key.startswith(f"{name}.") for name in self.free)


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    rows: dict[str, Any] = {}
    for key, value in table.items():
        rows.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return rows
