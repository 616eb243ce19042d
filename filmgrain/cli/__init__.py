"""The command line: one command a file, and no mathematics.

Nothing here imports torch before a command runs, so that `--help` is at once. Exit codes: errors.py.
"""

import atexit
import os
import platform
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from .. import __version__
from . import (
    curve,
    demo,
    doctor,
    edit,
    errors,
    evaluate,
    export,
    extend,
    import_,
    inpaint,
    interpolate,
    likelihood,
    oracle,
    pack,
    plan,
    report,
    sample,
    shard,
    show,
    train,
    upscale,
    watch,
)

data = typer.Typer(name="data", help="Make data ready to be read.")
data.command("shard")(shard.shard)
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("sample")(sample.command)
app.command("denoise")(edit.denoise)
app.command("vary")(edit.vary)
app.command("between")(edit.between)
app.command("extend")(extend.command)
app.command("interpolate")(interpolate.command)
app.command("upscale")(upscale.command)
app.command("inpaint")(inpaint.command)
app.command("plan")(plan.plan)
app.add_typer(data)
app.command("show")(show.show)
app.command("curve")(curve.curve)
app.command("watch")(watch.watch)
app.command("report")(report.report)
app.command("doctor")(doctor.doctor)
app.command("evaluate")(evaluate.command)
app.command("likelihood")(likelihood.command)
app.command("oracle")(oracle.command)
app.command("import")(import_.import_)
app.command("export")(export.export)
app.command("pack")(pack.pack)


@app.callback(invoke_without_command=True)
def filmgrain(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show an error's traceback (or FILMGRAIN_DEBUG=1).")] = False,
) -> None:
    """Train and sample diffusion models of videos and images on your own files."""
    if version:
        print(f"filmgrain {__version__} (Python {platform.python_version()})")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs one command and leaves with its exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    debug = "--debug" in arguments or os.environ.get("FILMGRAIN_DEBUG", "0") not in ("", "0")
    try:
        code = app(list(arguments), prog_name="filmgrain", standalone_mode=False)
    except SystemExit:
        raise
    except BaseException as error:
        code = errors.report(error, debug=debug)
    code = code if isinstance(code, int) else 0
    if os.environ.get("WORLD_SIZE", "1") != "1":  # one of many: threads of gloo that outlive Python end in an abort
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
