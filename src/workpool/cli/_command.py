"""The commands, their options and their help."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import click

from workpool.cli._errors import UsageError
from workpool.cli._options import BUFFER_INPUTS, MapOptions
from workpool.cli._run import run_map

__all__ = ["run_command"]

_EXAMPLES = """\b
Examples:
  workpool map words.py:count hamlet.txt jaques.txt
  find . -name '*.txt' | workpool map words.py:count
  find . -type f -print0 | workpool map --null hashes.py:digest
  workpool map --json -j 4 --timeout 60 --keep-going jobs:run < jobs.jsonl
"""


def run_command(arguments: list[str]) -> int:
    """Run the program with these arguments; return its exit status."""
    try:
        _ensure_standard_descriptors()
        status = cli.main(arguments, prog_name="workpool", standalone_mode=False)
    except click.ClickException as error:
        return _complain(_one_line(error))
    except UsageError as error:
        return _complain(str(error))
    except (click.Abort, KeyboardInterrupt):
        return 130
    return status if isinstance(status, int) else 0


def _complain(sentence: str) -> int:
    click.echo(f"workpool: {sentence}", err=True)
    return 2


def _one_line(error: click.ClickException) -> str:
    sentence = " ".join(error.format_message().split()).removesuffix(".")
    if isinstance(error, click.NoSuchOption):
        sentence += " (put -- before inputs that begin with a dash)"
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "workpool"
    return f"{sentence}; see '{command} --help'"


def _ensure_standard_descriptors() -> None:
    """Occupy descriptors 0 to 2: what is opened next must not be taken for standard output."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        if descriptor == 1:
            raise UsageError("standard output is closed: there is nowhere to write results to")
    os.close(descriptor)


def _seconds(context: click.Context, option: click.Parameter, value: str | None) -> float | None:
    """Take a positive, finite number; click's own range lets NaN and infinity through."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise click.BadParameter(f"{value!r} is not a positive number of seconds.")
    return seconds


def _show_version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    # Imported here: it takes longer to load than all of click.
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"workpool {version('workpool')}")
    except PackageNotFoundError:
        click.echo("workpool, not installed")
    context.exit()


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="Show the version and exit.",
)  # fmt: skip
@click.pass_context
def cli(context: click.Context) -> int:
    """Apply Python functions to much input, in worker processes that steal work."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        return 2
    return 0


@cli.command("map", epilog=_EXAMPLES)
@click.argument("spec")
@click.argument("inputs", metavar="[INPUT]...", nargs=-1)
@click.option("-i", "--input", "input_path", metavar="FILE", help="Read the inputs from FILE.")
@click.option("--json", is_flag=True, help="Inputs are JSON values; the function gets the value.")
@click.option("-0", "--null", is_flag=True, help="Inputs end with a NUL byte, not a newline.")
@click.option("--unordered", is_flag=True, help="Write results as they come, not in input order.")
@click.option(
    "--keep-going",
    is_flag=True,
    help="Write failed inputs as error records and go on; exit with 1.",
)
@click.option(
    "-j", "--jobs", metavar="N", type=click.IntRange(min=1, max=1024),
    help="Use up to N worker processes (default: one per CPU).",
)  # fmt: skip
@click.option(
    "--timeout", metavar="SECONDS", callback=_seconds,
    help="Let a task fail after so long, counted from its start.",
)  # fmt: skip
@click.option(
    "--retries", metavar="N", type=click.IntRange(min=0), default=0,
    help="Run a failed task again, up to N times.",
)  # fmt: skip
@click.option(
    "--buffer", metavar="N", type=click.IntRange(min=1), default=BUFFER_INPUTS, show_default=True,
    help="Have at most N inputs between reading them and writing their results.",
)  # fmt: skip
def map_command(spec: str, inputs: tuple[str, ...], **options: object) -> int:
    """Apply SPEC to each INPUT, write one line of JSON per result.

    SPEC is a function: package.module:name or path/to/file.py:name. It is called with each INPUT
    as a string; without any, with each line of standard input. On a terminal, standard error
    shows the progress. What the function prints appears on standard error, too.

    The exit status is 0 if every input succeeded, 1 if one failed, 2 if the command was wrong.
    """
    if inputs and options["input_path"] is not None:
        raise click.UsageError("give INPUT arguments or --input FILE, not both")
    _check_spec(spec)
    _import_from_working_directory()
    return run_map(MapOptions(spec=spec, arguments=inputs, **options))  # type: ignore[arg-type]


def _check_spec(spec: str) -> None:
    """Refuse what cannot be an entrypoint before a process is started for it."""
    module, colon, symbol = spec.rpartition(":")
    if not colon or not module or not symbol:
        raise UsageError(
            f"{spec!r} does not name a function: write package.module:name or path/to/file.py:name"
        )
    if ("/" in module or module.endswith(".py")) and not Path(module).is_file():
        problem = "is not a file" if Path(module).exists() else "does not exist"
        raise UsageError(f"the file {module!r} of {spec!r} {problem}")


def _import_from_working_directory() -> None:
    """Let SPEC name a module in the working directory, as ``python -m`` does."""
    try:
        directory = str(Path.cwd())
    except OSError:  # it has been deleted: nothing can be imported from it
        return
    if not sys.flags.safe_path and directory not in sys.path and "" not in sys.path:
        sys.path.insert(0, directory)
