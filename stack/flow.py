"""`parley flow`: checks, draws, tests, tries and imports flows."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from flow_backend.flows.drawing import dot, mermaid
from flow_backend.flows.loading import load_file, to_yaml
from flow_backend.flows.scenarios import load_scenarios
from flow_backend.flows.validation import parse_flow, validate
from protocol.errors import ConfigError, FlowError, ParleyError

if TYPE_CHECKING:
    from stack.flow_test import Outcome

app = typer.Typer(
    name="flow",
    help="Check, draw, test, try and import flows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)

FlowPath = Annotated[Path, typer.Argument(help="The flow's document, YAML or JSON.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
Variables = Annotated[
    list[str] | None,
    typer.Option("--var", help="A variable for the session: name=value. May be repeated."),
]


@app.command("validate")
def validate_command(
    paths: Annotated[list[Path], typer.Argument(help="Documents, YAML or JSON.")],
    as_json: AsJson = False,
) -> None:
    """Say everything that is wrong with flows, with path and line; status 1 if anything is."""
    report: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        try:
            report[str(path)] = [asdict(problem) for problem in validate(load_file(path))[1]]
        except FlowError as error:
            message = error.message.removeprefix(f"{path}: ")
            report[str(path)] = [{"path": "", "message": message, "line": None}]
    if as_json:
        _write(json.dumps(report, ensure_ascii=False))
    else:
        for name, problems in report.items():
            _write(f"{name}: {'fine' if not problems else f'{len(problems)} problem(s)'}")
            for problem in problems:
                line = f":{problem['line']}" if problem["line"] else ""
                place = f"{problem['path']}: " if problem["path"] else ""
                _write(f"  {name}{line}: {place}{problem['message']}")
    if any(report.values()):
        raise typer.Exit(1)


@app.command()
def show(
    path: FlowPath,
    svg: Annotated[Path | None, typer.Option(help="Write a picture here (needs graphviz).")] = None,
    as_dot: Annotated[bool, typer.Option("--dot", help="Write DOT instead of Mermaid.")] = False,
) -> None:
    """Draw a flow, in Mermaid's language unless a picture is asked for."""
    flow = parse_flow(load_file(path))
    if svg is None:
        _write((dot if as_dot else mermaid)(flow).rstrip())
        return
    program = shutil.which("dot")
    if program is None:
        raise ConfigError(
            "tool_missing",
            "There is no graphviz here, which draws the picture. Install it (Debian: apt install "
            "graphviz), or leave out --svg to get Mermaid.",
        )
    drawn = subprocess.run(
        [program, "-Tsvg"], input=dot(flow).encode(), capture_output=True, check=True, timeout=60
    )
    _write_file(svg, drawn.stdout)


@app.command("test")
def scenarios_command(
    paths: Annotated[list[Path], typer.Argument(help="Scenario files.")],
    llm: Annotated[
        str | None,
        typer.Option(
            help="Speak with this language model (`default`, `openai`, `provider/model`) "
            "instead of the scripted one."
        ),
    ] = None,
    variables: Variables = None,
    only: Annotated[
        str | None, typer.Option("-k", help="Run scenarios with this in their name.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run scenario files and say what is not as expected; status 1 if anything is."""
    from stack.flow_test import run_file

    given = given_variables(variables)
    report = {
        str(path): asyncio.run(run_file(load_scenarios(path), llm=llm, variables=given, only=only))
        for path in paths
    }
    results = [outcome for outcomes in report.values() for outcome in outcomes]
    if as_json:
        plain = {name: [asdict(outcome) for outcome in all_] for name, all_ in report.items()}
        _write(json.dumps(plain, ensure_ascii=False))
    else:
        _show(report)
    if not results:
        raise FlowError("request_invalid", f"No scenario has {only!r} in its name.")
    if not all(outcome.passed for outcome in results):
        raise typer.Exit(1)


def _show(report: dict[str, list[Outcome]]) -> None:
    console = Console(highlight=False, soft_wrap=True, markup=False)
    results = []
    for name, outcomes in report.items():
        results += outcomes
        console.print(name, style="bold")
        for outcome in outcomes:
            mark, style = ("✓", "green") if outcome.passed else ("✗", "red")
            console.print(f"  {mark} {outcome.name} ({outcome.total_ms:.0f} ms)", style=style)
            for failure in outcome.failures:
                console.print(f"      {failure}")
    failed = sum(not outcome.passed for outcome in results)
    console.print(f"{len(results) - failed} passed, {failed} failed")


@app.command()
def run(
    path: FlowPath,
    llm: Annotated[
        str, typer.Option(help="`default` (the setting LLM), `provider` or `provider/model`.")
    ] = "default",
    variables: Variables = None,
) -> None:
    """Talk to a flow in the terminal; an empty line or Ctrl-D ends it."""
    asyncio.run(_talk(path, llm, given_variables(variables)))


async def _talk(path: Path, llm: str, variables: dict[str, Any]) -> None:
    from stack.flow_session import FlowSession
    from stack.flow_test import rehearsal, require_variables

    flow = parse_flow(load_file(path))
    require_variables(flow, variables)
    async with rehearsal(flow, llm) as (client, _):
        session = await FlowSession.open(client, flow.id, variables)
        if session.greeting:
            _write(f"< {session.greeting}")
        while text := (await asyncio.to_thread(_read_line)).strip():
            sys.stdout.write("< ")
            async with aclosing(session.say(text)) as pieces:
                async for piece in pieces:
                    sys.stdout.write(piece)
                    sys.stdout.flush()
            sys.stdout.write("\n")
            if session.answer.error is not None:
                _write(f"! {session.answer.error.message}")
            if session.answer.ended:
                break


def _read_line() -> str:
    if sys.stdin.isatty():
        sys.stdout.write("> ")
        sys.stdout.flush()
    return sys.stdin.readline()


@app.command("import")
def import_command(
    path: Annotated[Path, typer.Argument(help="A Vapi workflow, pipecat flow or Dify document.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to write it.")
    ] = None,
) -> None:
    """Turn a flow of another system into one of ours, and name what was left out."""
    from flow_backend.flows.foreign import convert

    source = load_file(path)
    document, left_out = convert(source.data, flow_id=path.stem)
    text = to_yaml(document)
    if output is None:
        _write(text.rstrip())
    else:
        _write_file(output, text.encode())
    notes = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    for note in left_out:
        notes.print(f"left out: {note}")
    for problem in validate(document)[1]:
        notes.print(f"to be mended: {problem}")


def given_variables(pairs: list[str] | None) -> dict[str, Any]:
    """Variables from the command line: `name=value`, each a text."""
    values: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} is not of the form name=value", param_hint="--var")
        values[name] = value
    return values


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _write_file(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ConfigError(
            "setting_invalid", f"{path} cannot be written: {error.strerror}. Name another file."
        ) from error
    _write(f"{path}: written")


def main() -> int:
    """Entry of `python -m stack.flow`."""
    try:
        app()
    except ParleyError as error:
        sys.stderr.write(f"parley flow: {error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
