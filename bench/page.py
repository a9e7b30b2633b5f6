"""The page in Chromium: time to interactive, script size, first audio, layout shift, panning.

The backend of `parley bench doors` answers; what is measured and how is written in
web/tests/measures.mjs. It needs Node, Chromium and the page's packages (`make dev web`).
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from bench.doors import serving
from bench.local_stack import ROOT
from protocol.errors import ConfigError

WEB = ROOT / "web"
WITHIN_S = 300.0
NODES = 300

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def page(
    runs: Annotated[int, typer.Option(min=1, help="Loads, and spoken answers.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the page in Chromium."""
    missing = [name for name in ("node", "chromium") if not shutil.which(name)]
    if missing or not (WEB / "node_modules").is_dir():
        raise ConfigError(
            "setting_missing",
            f"This needs {' and '.join(missing) or 'the page with its packages'}: make dev web.",
        )
    with serving(cache_mb=0) as server:
        _publish(server.url, large_flow())
        found = _measured(server.url, runs)
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        Console().print(_table(found))


def large_flow() -> dict[str, Any]:
    """A chain of 300 nodes; the page lays it out."""
    nodes = [
        {"id": f"n{n}", "type": "say", "data": {"text": f"This is step {n} of a long flow."}}
        for n in range(NODES - 2)
    ]
    nodes = [{"id": "start", "type": "start", "data": {}}, *nodes]
    nodes.append({"id": "end", "type": "end", "data": {"text": "Goodbye."}})
    edges = [
        {"id": f"e{n}", "source": before["id"], "target": after["id"]}
        for n, (before, after) in enumerate(pairwise(nodes))
    ]
    # Branches make it wide: every seventh step may also go on three steps further down.
    edges += [
        {
            "id": f"b{n}",
            "source": f"n{n}",
            "target": f"n{n + 3}",
            "data": {"condition_type": "expression", "condition": f'input == "{n}"'},
        }
        for n in range(0, NODES - 6, 7)
    ]
    return {"id": "large", "name": "A large flow", "nodes": nodes, "edges": edges}


def _publish(url: str, flow: dict[str, Any]) -> None:
    made = httpx.post(f"{url}/api/flows", json=flow, trust_env=False)
    made.raise_for_status()


def _measured(url: str, runs: int) -> dict[str, Any]:
    done = subprocess.run(
        ["node", "tests/measures.mjs", url, str(runs)],
        cwd=WEB,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    if done.returncode != 0:
        raise ConfigError("start_failed", f"The measurement in the browser failed:\n{done.stderr}")
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _table(found: Mapping[str, Any]) -> Table:
    table = Table("figure", "median", "worst", "wanted")
    rows = (
        ("to interactive, nothing cached", found["interactiveMs"], "{:.0f} ms", "< 1000 ms"),
        ("script of the talk view, gzipped", [found["scriptKb"]], "{:.0f} KB", "< 350 KB"),
        ("frame over /ws to its sound", found["firstAudioMs"], "{:.0f} ms", "≤ 100 ms"),
        ("layout shift while words stream", [found["layoutShift"]], "{:.4f}", "0"),
    )
    for name, values, form, wanted in rows:
        table.add_row(
            name, form.format(statistics.median(values)), form.format(max(values)), wanted
        )
    table.add_row(f"panning {NODES} nodes", f"{found['panFps']:.0f} /s", "", "≥ 50 /s")
    return table


if __name__ == "__main__":
    app()
