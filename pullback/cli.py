"""The command line: `pullback run script.py [args]`, `pullback check-rules`, `pullback version`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pullback",
        description="Automatic differentiation and training with PyTorch's eager API, on CPUs.",
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="command")
    run = commands.add_parser(
        "run",
        help="run a torch program unmodified: `import torch` means pullback in this process",
        usage="pullback run [-h] (script.py | -m module) [arguments ...]",
        description="Runs a torch program unmodified. `import torch` and everything below it resolve to "
        "pullback in this process, also where torch is installed; processes that the program spawns do not "
        "inherit this.",
    )
    run.add_argument(
        "program", nargs=argparse.REMAINDER, help="a script (or -m and a module) and its arguments"
    )
    check = commands.add_parser(
        "check-rules",
        help="check every derivative rule",
        description="Checks every derivative rule: numerical derivatives to the third order, transpose, "
        "forward mode, vmap, bits of all paths, and torch's values (torch itself where it is installed). "
        "Takes about half a minute; fails if an error is above its bound.",
    )
    check.add_argument("--write", metavar="PAGE", help="write a Markdown page with one row a rule")
    check.add_argument(
        "--only", metavar="NAME", action="append", default=[], help="only this rule; repeatable"
    )
    check.add_argument(
        "--import",
        dest="modules",
        metavar="MODULE",
        action="append",
        default=[],
        help="import a module first, whose primitives (pullback.extend) are then checked too; repeatable",
    )
    commands.add_parser("version", help="print the version")
    return parser


def _version() -> int:
    import pullback
    from pullback.compat.aliases import TORCH_VERSION

    print(f"pullback {pullback.__version__} (names and values of torch {TORCH_VERSION})")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit code of the process."""
    argv = list(sys.argv[1:] if argv is None else argv)
    # What follows `run` belongs to the program, its options too.
    if argv[:1] == ["run"] and argv[1:] and argv[1] not in ("-h", "--help"):
        from pullback.compat import runner

        if argv[1] != "-m":
            return runner.run_script(argv[1], argv[2:])
        if len(argv) > 2:
            return runner.run_module(argv[2], argv[3:])
        _parser().error("run -m needs the name of a module")
    parser = _parser()
    options = parser.parse_args(argv)
    if options.version or options.command == "version":
        return _version()
    if options.command == "check-rules":
        from pullback.checking import page

        return page.command(options.write, options.only, options.modules)
    if options.command == "run":
        parser.error("run needs a script: pullback run script.py [arguments ...]")
    parser.print_help()
    return 2
