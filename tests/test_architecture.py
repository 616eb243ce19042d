"""The plan of the house, held against the code: who may import whom, sizes, names, and what is never called."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import filmgrain

PACKAGE = Path(filmgrain.__file__).parent
EVERYTHING = ["*"]
MAY_IMPORT: dict[str, list[str]] = {  # room: the rooms that it may import; a room that is not listed is a failure
    "rooms": [],
    "allocator": [],
    "files": [],
    "kernels": [],
    "blocks": ["kernels"],
    "diffusion": [],
    "data": ["files", "kernels"],
    "analytic": ["diffusion"],
    "samplers": ["diffusion", "rooms"],
    "guidance": ["diffusion"],
    "autoencoders": ["blocks"],
    "networks": ["blocks", "diffusion"],
    "clip": ["blocks"],
    "conditioning": ["autoencoders", "diffusion", "clip", "files"],
    "model": ["blocks", "autoencoders", "diffusion", "networks", "clip", "conditioning"],
    "generate": ["model", "samplers", "guidance", "blocks", "diffusion", "files", "rooms"],
    "training": ["files"],
    "tasks": ["model", "autoencoders", "clip", "data", "generate", "diffusion", "files", "training"],
    "evaluate": ["model", "generate", "clip", "data", "diffusion", "files", "interop"],
    "oracle": ["analytic", "diffusion", "samplers", "guidance", "rooms"],
    "recipe_toml": ["rooms"],
    "recipe": ["recipe_toml", "rooms", "model", "training", "generate"],
    "defaults": [
        "recipe",
        "rooms",
        "data",
        "networks",
        "autoencoders",
        "conditioning",
        "model",
        "diffusion",
        "tasks",
        "training",
        "generate",
    ],
    "runs": [
        "recipe",
        "rooms",
        "tasks",
        "training",
        "data",
        "model",
        "files",
        "networks",
        "autoencoders",
        "generate",
        "allocator",
    ],
    "interop": ["model", "networks", "autoencoders", "clip", "conditioning", "diffusion", "files"],
    "watching": ["files"],
    "doctor": ["watching", "data", "recipe", "runs", "training", "files"],
    "compat": [
        "autoencoders",
        "data",
        "diffusion",
        "files",
        "generate",
        "guidance",
        "interop",
        "model",
        "networks",
        "recipe",
        "rooms",
        "runs",
        "samplers",
        "tasks",
        "training",
    ],
    "cli": EVERYTHING,
    "ui": EVERYTHING,
    "__init__": [],  # the public names are imported when they are first used
    "__main__": ["cli"],
}
MAX_LINES, MAX_FUNCTION, MAX_PARAMETERS = 300, 40, 8
SLOTS = {"samplers": {"denoiser", "z", "levels", "cond"}}  # what every function of a room is given, and not counted
NO_BETTER_NAME = {"utils", "util", "helpers", "helper", "misc", "common"}
UNSAFE_IMPORTS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "importlib.import_module",
    "runpy.run_path",
    "runpy.run_module",
}
UNSAFE_CALLS |= {
    "torch.load",
    "torch.save",
    "torch.jit.load",
    "torch.hub.load",
    "torch.distributed.checkpoint.FileSystemReader",
}
UNSAFE_CALLS |= {"yaml.load", "yaml.unsafe_load", "os.system", "os.popen", "subprocess.getoutput"}
LAST = {name.rpartition(".")[2] for name in UNSAFE_CALLS}
MAY_BE_UNSAFE = {
    "interop/torch_file.py": {"torch.load"},  # others' .pt files: weights only, in a child process
    "rooms.py": {"importlib.import_module"},  # the names of files, and dotted paths: not those that a file says
    "__init__.py": {"importlib.import_module"},  # the package's own rooms, when a public name is first used
}
MAY_NAME_CUDA = {"training/place.py", "training/log.py"}  # picks the device; measures its memory


def violations(package: Path) -> Iterator[str]:
    """One line for each breach in a package's folder."""
    for path in sorted(package.rglob("*.py")):
        tree, where = ast.parse(path.read_text()), path.relative_to(package).as_posix()
        breaches = [*imports(tree, path, package), *sizes(tree, path), *calls(tree, where), *devices(tree, where)]
        if path.stem in NO_BETTER_NAME:
            breaches.append("has a name that says nothing")
        yield from (f"{where} {breach}" for breach in breaches)


def imports(tree: ast.AST, path: Path, package: Path) -> Iterator[str]:
    room = path.relative_to(package).parts[0].removesuffix(".py")
    if room not in MAY_IMPORT:
        yield f"is in the room {room}, which the plan does not list"
        return
    for other in sorted(rooms_imported(tree, path, package) - {room, *MAY_IMPORT[room]}):
        if MAY_IMPORT[room] != EVERYTHING:
            yield f"imports {other}"


def rooms_imported(tree: ast.AST, path: Path, package: Path) -> set[str]:
    """The rooms behind every import of the package: relative ones resolved, `from filmgrain import x` expanded."""
    here, names = (package.name, *path.relative_to(package).parent.parts), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            names.update(".".join((*module, alias.name)) for alias in node.names)
    ours = {name for name in names if name.split(".")[0] == package.name}
    return {room_of(name, package) for name in ours - {package.name, f"{package.name}.__version__"}}


def room_of(name: str, package: Path) -> str:
    """The room of a dotted name; what is neither a file nor a folder of the package lives in its __init__."""
    first = [*name.split("."), "__init__"][1]
    return first if (package / first).is_dir() or (package / f"{first}.py").is_file() else "__init__"


def sizes(tree: ast.Module, path: Path) -> Iterator[str]:
    given = {"self", "cls", *SLOTS.get(path.parent.name, ())}
    if (lines := len(path.read_text().splitlines())) > MAX_LINES:
        yield f"has {lines} lines"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            if (length := node.end_lineno - node.lineno + 1) > MAX_FUNCTION:
                yield f"has {node.name} of {length} lines"
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            if (count := len([a for a in arguments if a.arg not in given])) > MAX_PARAMETERS:
                yield f"has {node.name} of {count} parameters"


def calls(tree: ast.AST, where: str) -> Iterator[str]:
    """Whatever can run code that came with data."""
    known = {}  # local name: what it stands for
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known.update({alias.asname or alias.name: alias.name for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and not node.level:
            known.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    for module in sorted({name.split(".")[0] for name in known.values()} & UNSAFE_IMPORTS):
        yield f"imports {module}"
    for node in ast.walk(tree):
        last = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        if isinstance(getattr(node, "ctx", None), ast.Load) and (last in LAST or last in known):  # called, or handed on
            first, dot, rest = ast.unparse(node).partition(".")
            name = known.get(first, first) + dot + rest
            if name in UNSAFE_CALLS - MAY_BE_UNSAFE.get(where, set()):
                yield f"calls {name}"
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg in ("shell", "allow_pickle") and ast.unparse(keyword.value) != "False":
                    yield f"passes {keyword.arg}={ast.unparse(keyword.value)}"


def devices(tree: ast.AST, where: str) -> Iterator[str]:
    """No device is chosen but where devices are chosen."""
    if where in MAY_NAME_CUDA:
        return
    for node in ast.walk(tree):
        text = isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.split(":")[0] == "cuda"
        if text or (isinstance(node, ast.Attribute) and node.attr == "cuda"):
            yield f"names cuda in line {node.lineno}"


def test_the_house_is_as_planned():
    assert list(violations(PACKAGE)) == []


def test_diffusion_stands_alone():
    """The mathematics can be read, tested and used without the rest."""
    for path in (PACKAGE / "diffusion").glob("*.py"):
        assert rooms_imported(ast.parse(path.read_text()), path, PACKAGE) <= {"diffusion"}


def test_every_room_that_is_imported_is_in_the_plan():
    assert {other for allowed in MAY_IMPORT.values() for other in allowed} <= {*MAY_IMPORT, "*"}


BREACHES = {  # what is written where: the breach that must be found
    ("diffusion/a.py", "from ..files import video"): "imports files",
    ("diffusion/b.py", "from .. import files"): "imports files",
    ("diffusion/c.py", "from filmgrain import files as f"): "imports files",
    ("diffusion/d.py", "import filmgrain.files.video"): "imports files",
    ("diffusion/deep/e.py", "from ...files.video import read"): "imports files",
    ("diffusion/f.py", "def f():\n    from ..files import video"): "imports files",
    ("diffusion/__init__.py", "from ..files import video"): "imports files",
    ("diffusion/g.py", "from filmgrain import train"): "imports __init__",
    ("model.py", "from .files import video"): "imports files",
    ("cellar/a.py", "x = 1"): "in the room cellar",
    ("cellar.py", "x = 1"): "in the room cellar",
    ("files/utils.py", "x = 1"): "a name that says nothing",
    ("files/a.py", "x = 1\n" * 301): "has 301 lines",
    ("files/b.py", "def f():\n" + "    x = 1\n" * 40): "has f of 41 lines",
    ("files/c.py", "class C:\n    def f(self, a, b, c, d, e, *, g, h, i, j): ..."): "has f of 9 parameters",
    ("samplers/a.py", "def f(denoiser, z, levels, cond, a, b, c, d, e, f, g, h, i): ..."): "has f of 9 parameters",
    ("files/d.py", "import pickle"): "imports pickle",
    ("files/e.py", "from pickle import loads"): "imports pickle",
    ("files/f.py", "import torch\ntorch.load('x')"): "calls torch.load",
    ("files/g.py", "import torch as t\nt.load('x')"): "calls torch.load",
    ("files/h.py", "from torch import load\nload('x')"): "calls torch.load",
    ("files/i.py", "eval('1')"): "calls eval",
    ("files/j.py", "exec('1')"): "calls exec",
    ("files/k.py", "import yaml\nyaml.load('x')"): "calls yaml.load",
    ("files/l.py", "from subprocess import run\nrun('ls', shell=True)"): "passes shell=True",
    ("files/m.py", "import numpy as np\nnp.load('x', allow_pickle=True)"): "passes allow_pickle=True",
    ("files/n.py", "device = 'cuda:0'"): "names cuda",
    (
        "files/p.py",
        "from functools import partial\nimport torch\nread = partial(torch.load, mmap=True)",
    ): "calls torch.load",
    ("files/q.py", "import importlib\nimportlib.import_module(name)"): "calls importlib.import_module",
    ("files/r.py", "run = __import__('os').system"): "calls __import__",
    ("files/s.py", "import torch as t\nt.save({}, 'x')"): "calls torch.save",
    ("files/o.py", "x = x.cuda()"): "names cuda",
    ("interop/torch_file.py", "import pickle"): "imports pickle",
}


def written(folder: Path, where: str, text: str) -> Path:
    """A package with the one file, and the room of files that it may wrongly import."""
    package = folder / "filmgrain"
    (package / "files").mkdir(parents=True)
    path = package / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return package


@pytest.mark.parametrize(("where", "text"), BREACHES, ids=[f"{w}: {b}" for (w, _), b in BREACHES.items()])
def test_a_breach_is_found(tmp_path, where, text):
    found = list(violations(written(tmp_path, where, text)))
    assert len(found) == 1 and found[0].startswith(where) and BREACHES[where, text] in found[0]


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("data/a.py", "from ..files import video\nfrom . import b\nfrom filmgrain.files import kinds"),
        ("data/b.py", "from filmgrain import __version__\nimport filmgrain"),
        ("cli/a.py", "from ..files import video"),
        ("files/a.py", "x = 1\n" * 300),
        ("files/b.py", "def f(a, b, c, d, e, g, h, i):\n" + "    x = 1\n" * 39),
        ("samplers/a.py", "def f(denoiser, z, levels, cond, a, b, c, d, e, f, g, h): ..."),
        ("files/c.py", "model.eval()\nre.compile('x')\nrun(['ls'], shell=False)\nsafetensors.torch.load(b'')"),
        ("interop/torch_file.py", "import torch\ntorch.load('x', weights_only=True)"),
        ("training/place.py", "device = 'cuda'"),
    ],
)
def test_what_is_allowed_is_not_reported(tmp_path, where, text):
    assert list(violations(written(tmp_path, where, text))) == []
