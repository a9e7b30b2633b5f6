"""Flows from a folder of YAML and JSON files."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from flow_backend.flows.document import Flow
from protocol.errors import ConfigError

BUILTIN = Path(__file__).parent / "builtin"
"""Flows that ship with us."""


def load_folder(folder: Path) -> list[Flow]:
    """Reads every `*.yaml`, `*.yml` and `*.json` of a folder.

    Raises:
        ConfigError: `setting_invalid` for a missing folder; `start_failed` for a file that is no
            flow, with its name.
    """
    if not folder.is_dir():
        raise ConfigError("setting_invalid", f"FLOWS_DIR: {folder} is no folder.")
    flows = []
    for path in sorted(folder.iterdir()):
        if path.suffix not in {".yaml", ".yml", ".json"}:
            continue
        try:
            flows.append(Flow.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))))
        except (ValidationError, yaml.YAMLError, OSError, UnicodeDecodeError) as error:
            raise ConfigError("start_failed", f"{path} is no valid flow: {error}") from error
    return flows
