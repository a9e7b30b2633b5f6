"""The wheel holds what an installed Parley needs, the page included: no Node there."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from flow_backend.doors.page import FOLDER

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(
    not (FOLDER / "index.html").is_file(), reason="needs the page to be built: make web"
)
def test_the_wheel_holds_the_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        index = archive.read("flow_backend/page/index.html").decode()
        loaded = re.findall(r'(?:src|href)="/([^"]+)"', index)
        chunks = {
            f"flow_backend/page/assets/{chunk}"
            for name in names
            if re.fullmatch(r"flow_backend/page/assets/.*\.js", name)
            for chunk in re.findall(r"assets/([\w.-]+\.(?:js|css))", archive.read(name).decode())
        }
    assert any(name.endswith(".js") for name in loaded)
    assert {f"flow_backend/page/{name}" for name in loaded} | chunks <= names
    assert not any("node_modules" in name or name.startswith("tests/") for name in names)
