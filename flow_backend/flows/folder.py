"""Flows from a folder of YAML and JSON files."""

from __future__ import annotations

from pathlib import Path

from flow_backend.flows.document import Flow
from flow_backend.flows.loading import load_file
from flow_backend.flows.validation import parse_flow
from protocol.errors import ConfigError, FlowError

BUILTIN = Path(__file__).parent / "builtin"
"""Flows that ship with us."""


def load_folder(folder: Path) -> list[Flow]:
    """Reads every `*.yaml`, `*.yml` and `*.json` of a folder.

    Raises:
        ConfigError: `setting_invalid` for a missing folder; `start_failed` for a file that is no
            flow, with its name and every problem.
    """
    if not folder.is_dir():
        raise ConfigError("setting_invalid", f"FLOWS_DIR: {folder} is no folder.")
    flows = []
    for path in sorted(folder.iterdir()):
        if path.suffix not in {".yaml", ".yml", ".json"}:
            continue
        try:
            flows.append(parse_flow(load_file(path)))
        except FlowError as error:
            raise ConfigError("start_failed", error.message) from error
    return flows
