"""Subcommands that are programs of their own: a module with a typer `app`, imported when run."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from protocol.errors import ConfigError


def run(module: str, program: str, arguments: Sequence[str]) -> None:
    """Runs a module's `app` and ends the process with its status."""
    importlib.import_module(module).app(args=list(arguments), prog_name=program)


def bench(arguments: Sequence[str]) -> None:
    """Runs the benchmark that the first argument names, or lists them.

    Raises:
        ConfigError: `setting_invalid` if there is no such benchmark.
    """
    found = benchmarks()
    if not arguments or arguments[0] in ("--help", "-h"):
        lines = [f"  parley bench {name:<12} {about}" for name, about in found.items()]
        sys.stdout.write("\n".join(["Benchmarks:", *(lines or ["  none yet"])]) + "\n")
        return
    name, *rest = arguments
    if name not in found:
        raise ConfigError(
            "setting_invalid",
            f"There is no benchmark {name!r}. There are: {', '.join(found) or 'none yet'}.",
        )
    run(f"bench.{name}", f"parley bench {name}", rest)


def benchmarks() -> dict[str, str]:
    """Modules of `bench` that have an `app`, with the first line about each; imports none."""
    import bench as package

    found: dict[str, str] = {}
    for module in pkgutil.iter_modules(package.__path__):
        spec = find_spec(f"bench.{module.name}")
        if spec is None or spec.origin is None:
            continue
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        names = {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        if "app" in names:
            found[module.name] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found
