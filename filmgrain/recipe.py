"""A run as one recipe: frozen dataclasses, and the TOML file that is kept beside the weights.

    [data] name = "moving_shapes"      a file of data/, and the fields of its Config
    [network] name = "unet3d"          of networks/
    [conditions.label]                 of conditioning/, by name; may be left out
    [codec] name = "pixels"            of autoencoders/; may be left out
    [diffusion] [diffusion.schedule]   model.Config
    [task] name = "diffusion"          of tasks/; may be left out
    [train]                            training.Config
    [sample]                           generate.sampling.Config

A `name` may be the dotted path of one's own module; reading a file imports none that is not trusted (rooms.py).
"""

import tomllib
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from . import model, recipe_toml
from .generate.sampling import Config as Sampling
from .recipe_toml import RecipeError, Table
from .rooms import find, foreign, name_of, names, nearest
from .training.config import Config as Training

__all__ = ["Recipe", "RecipeError", "dumps", "load", "loads", "override", "shipped"]

FORMAT = 1  # of the file; raised when an older version would misread it
ROOMS = {"data": "data", "network": "networks", "codec": "autoencoders", "task": "tasks"}  # sections with a name
SLOTS = {  # by which a module is one of a room
    "data": "Dataset",
    "networks": "Network",
    "autoencoders": "Codec",
    "tasks": "Task",
    "conditioning": "Conditioner",
}
USUAL = {"codec": "pixels", "task": "diffusion"}  # names that may be left out
CONFIGS: dict[str, type] = {"diffusion": model.Config, "train": Training, "sample": Sampling}  # sections without
FOLDERS = (Path(__file__).parent / "recipes", Path(__file__).parent.parent / "recipes")  # in a wheel; in a checkout


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a run depends on. The sections are Configs of the rooms named above."""

    data: Any
    network: Any
    conditions: dict[str, Any] = field(default_factory=dict)
    codec: Any = field(default_factory=lambda: find("autoencoders", "pixels").Config())
    diffusion: model.Config = field(default_factory=model.Config)
    task: Any = field(default_factory=lambda: find("tasks", "diffusion").Config())
    train: Training = field(default_factory=Training)
    sample: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        given, expected = self.data.shape[0], getattr(self.network, "channels", None)
        if name_of(self.codec) == "pixels" and expected not in (None, given):
            raise ValueError(f"network.channels={expected}, but the data have {given}; set network.channels={given}")
        condition = getattr(self.network, "condition", 0)
        if condition and not self.conditions:
            raise ValueError(f"network.condition={condition}, but there is no [conditions.*]; set network.condition=0")
        if self.conditions and not condition:
            given = ", ".join(self.conditions)
            raise ValueError(f"the network takes none of the conditions ({given}); set network.condition=128 or so")
        self._check_tokens()
        self._check_maps()
        self._check_steps()
        if getattr(self.network, "images_only", False) and len(self.data.shape) == 4:
            name = name_of(self.network)
            raise ValueError(f"the data are clips, and {name} is a network of images; set network.name=unet3d")
        if check := getattr(self.task, "check", None):
            check(self.diffusion)
        if images := getattr(self.task, "images", 0):
            self._check_joint(images)

    def _check_joint(self, images: int) -> None:
        """That there are clips for the images to stand behind, and a network that keeps them apart."""
        if len(self.data.shape) != 4:
            raise ValueError(f"task.images={images} go behind the frames of clips, and the data are pictures; set 0")
        check = getattr(self.network, "check_joint", None)
        if check is None:
            raise ValueError(
                f"task.images={images}: {name_of(self.network)} takes clips alone; set network.name=unet3d"
            )
        if maps := getattr(self.network, "maps", 0):
            raise ValueError(f"task.images={images}: images have none of the {maps} maps; set task.images=0")
        check()

    def _check_tokens(self) -> None:
        """That tokens are given to a network that attends to them, and as wide as it takes them."""
        takes = getattr(self.network, "tokens", 0)
        for name, config in self.conditions.items():
            if (given := getattr(config, "tokens", takes)) not in (0, takes):
                what = f"takes tokens={takes}" if takes else "attends to no tokens"
                raise ValueError(
                    f"conditions.{name}.tokens={given}, and {name_of(self.network)} {what}; set it to {takes}"
                )

    def _check_maps(self) -> None:
        """That conditions are of these data, and that as many maps are given as the network takes."""
        for config in self.conditions.values():
            if check := getattr(config, "check_data", None):
                check(self.data)
        given = [config.maps for config in self.conditions.values() if hasattr(config, "maps")]
        if given and sum(given) != (takes := getattr(self.network, "maps", 0)):
            raise ValueError(
                f"network.maps={takes}, and the conditions have {sum(given)} channels of maps; "
                f"set network.maps={sum(given)}"
            )

    def _check_steps(self) -> None:
        """That a network which takes steps has a schedule of steps, and not of more than it knows."""
        if not getattr(self.network, "takes_steps", False):
            return
        if not self.diffusion.discrete:
            instead = ", or network.steps=false" if hasattr(self.network, "steps") else ""
            raise ValueError(
                f"{name_of(self.network)} takes steps, so it needs a schedule of steps; set "
                f"diffusion.schedule=linear_beta or another table{instead}"
            )
        steps = self.diffusion.steps
        if (known := getattr(self.network, "table", steps)) < steps:
            raise ValueError(f"network.table={known} has no row for step {steps - 1}; set network.table={steps}")


SECTIONS = tuple(Recipe.__dataclass_fields__)


def load(source: str | Path) -> Recipe:
    """The recipe of a TOML file, or one of the shipped recipes by its name."""
    path = Path(source)
    if path.suffix != ".toml" and not path.is_file():
        if str(source) not in shipped():
            raise RecipeError(f'"{source}" is no folder, file or shipped recipe{nearest(str(source), [*shipped()])}')
        path = shipped()[str(source)]
    if path.suffix != ".toml":
        raise RecipeError(f"{path} is a file, and no recipe (.toml); give a recipe, or the folder of your files")
    try:
        return loads(path.read_text(encoding="utf-8"), source=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None


def shipped() -> dict[str, Path]:
    """The recipes that come with filmgrain, by name."""
    folder = next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[0])
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def loads(text: str, *, source: str = "recipe", trusted: bool = False) -> Recipe:
    """The recipe of a TOML text. Raises `RecipeError`, whose one line begins with `source`.

    trusted: whether a dotted path in it may import a module; of a file that may be anybody's it may not.
    """
    try:
        with nullcontext() if trusted else foreign():
            return _recipe(tomllib.loads(text))
    except RecursionError:
        raise RecipeError(f"{source}: its tables are nested hundreds deep; a recipe's are two or three") from None
    except ValueError as error:  # TOMLDecodeError and RecipeError are such
        raise RecipeError(f"{source}: {error}") from None


def dumps(recipe: Recipe) -> str:
    """The recipe as TOML, every field with its meaning. loads(dumps(recipe)) == recipe."""
    parts = [[f"format = {FORMAT}  # of this file"]]
    for section in SECTIONS:
        config = getattr(recipe, section)
        if section == "conditions":
            parts += [recipe_toml.write(inner, f"conditions.{recipe_toml.key(name)}") for name, inner in config.items()]
            continue
        parts.append(recipe_toml.write(config, section, name_of(config) if section in ROOMS else ""))
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def override(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """The recipe with settings such as "train.steps=2000", "network.mults=[1, 2]" or "data.name=fireworks" changed.

    Values are TOML; what is none is a string. A new `name` replaces its section: the defaults of the newly named
    module, and what else is set here. What it must be given, such as `folder`, is kept.
    """
    table = tomllib.loads(dumps(recipe))
    changes = [_change(setting, table) for setting in settings]
    for path, value in sorted(changes, key=lambda change: change[0][-1] != "name"):  # a name first: it clears the rest
        inner = table
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
            if not isinstance(inner, dict):
                raise RecipeError(f"--set {'.'.join(path)}: {key} is no table, so nothing can be set inside it")
        if path[-1] == "name" and inner.get("name") != value:
            kept = _required(path[0], value, inner)
            inner.clear()
            inner.update(kept)
        inner[path[-1]] = value
    try:
        return _recipe(table)
    except ValueError as error:
        raise RecipeError(f"--set: {error}") from None


def _required(section: str, name: Any, old: Table) -> Table:
    """Of a section as it was, the fields without a default of the module that is newly named."""
    try:
        known = fields(_config(section, name)) if section in ROOMS else ()
    except RecipeError:  # which reading the whole recipe raises too
        return {}
    needed = [field.name for field in known if field.default is MISSING and field.default_factory is MISSING]
    return {key: old[key] for key in needed if key in old}


def _change(setting: str, table: Table) -> tuple[list[str], Any]:
    """The path and the value of "train.steps=2000"."""
    name, equals, text = (part.strip() for part in setting.partition("="))
    if not name or not equals:
        raise RecipeError(f"--set {setting}: expected KEY=VALUE, such as train.steps=2000")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    if not isinstance(value, (bool, int, float, str, list, dict)):  # TOML would have a folder 2024-01-31 be a date
        value = text
    path, old = name.split("."), table
    for key in path:
        old = old.get(key, {}) if isinstance(old, dict) else {}
    named = isinstance(old, dict) and "name" in old and isinstance(value, str)  # schedule=flow is schedule.name=flow
    return [*path, "name"] if named else path, value


def _recipe(table: Table) -> Recipe:
    table = dict(table)
    made_by = table.pop("format", FORMAT)
    if not isinstance(made_by, int) or made_by > FORMAT:
        raise RecipeError(f"has format {made_by}, of a newer version; this one reads up to {FORMAT}: update filmgrain")
    for section, values in table.items():
        if section not in SECTIONS:
            raise RecipeError(f"there is no section [{section}]{nearest(section, list(SECTIONS))}")
        if not isinstance(values, dict):
            raise RecipeError(f"{section}={recipe_toml.literal(values)} is no section; write [{section}], keys below")
    return Recipe(**{section: _section(section, table.get(section, {})) for section in SECTIONS})


def _section(section: str, table: Table) -> Any:
    if section == "conditions":
        return {name: _condition(name, values) for name, values in table.items()}
    cls = CONFIGS.get(section) or _config(section, table.get("name", USUAL.get(section)))
    fields = {key: value for key, value in table.items() if key != "name" or section in CONFIGS}
    return recipe_toml.read(cls, fields, section)


def _condition(name: str, table: Any) -> Any:
    cls = _config_in("conditioning", name, "conditions")
    if cls is None:
        raise RecipeError(f"there is no condition [conditions.{name}]{nearest(name, _choices('conditioning'))}")
    if not isinstance(table, dict):
        raise RecipeError(f"conditions.{name}={recipe_toml.literal(table)} is no section; write [conditions.{name}]")
    return recipe_toml.read(cls, table, f"conditions.{name}")


def _config(section: str, name: Any) -> type:
    """The Config of the module that is named in a section."""
    room = ROOMS[section]
    if not isinstance(name, str):
        given = "no name" if name is None else f"the name {recipe_toml.literal(name)}"
        raise RecipeError(f"[{section}] has {given}; use one of {', '.join(_choices(room))}")
    cls = _config_in(room, name, f"{section}.name")
    if cls is None:
        raise RecipeError(f'{section}.name="{name}" is unknown{nearest(name, _choices(room))}')
    return cls


def _config_in(room: str, name: str, where: str = "") -> type | None:
    """A module's own Config. None where there is no such module, or it is another kind of file."""
    try:
        module = find(room, name)
    except ValueError as error:
        if "." in name:
            raise RecipeError(f"{where}: {error}") from None
        return None
    cls = getattr(module, "Config", None)
    its_own = isinstance(cls, type) and is_dataclass(cls) and cls.__module__ == module.__name__
    return cls if its_own and hasattr(module, SLOTS[room]) else None


def _choices(room: str) -> list[str]:
    return [name for name in names(room) if _config_in(room, name)]
