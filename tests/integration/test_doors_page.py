"""The lines of docs/doors.md work as they stand."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

from flow_backend.llm.scripted import Reply
from tests.integration.backend_server import serve_backend

PAGE = Path(__file__).parents[2] / "docs" / "doors.md"
SENTENCE = "This is the scripted answer."


async def test_the_examples_run_as_they_stand(tmp_path: Path) -> None:
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    setting, blocks = blocks[0][1], blocks[1:]
    assert len(blocks) >= 9
    replies = [
        Reply(purpose="corrections", times=None, json={"corrections": []}),
        Reply(purpose="vocabulary", times=None, json={"words": []}),
        Reply(say=SENTENCE, times=None),
    ]
    async with serve_backend(replies) as backend:
        environment = {**os.environ, "PARLEY": backend.url}
        for language, block in blocks:
            if "websocat" in block and shutil.which("websocat") is None:
                continue
            if language == "sh":
                # The page's readers have the backend's Python activated.
                block = block.replace("/tmp/", f"{tmp_path}/").replace("curl -s", "curl -sf")
                block = block.replace("python3 -m", f"{sys.executable} -m")
                program = ["bash", "-c", f"set -eo pipefail\n{setting}{block}"]
            else:
                program = [sys.executable, "-c", block]
            process = await asyncio.create_subprocess_exec(
                *program,
                env=environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            output, complaint = await process.communicate()
            assert process.returncode == 0, (block, complaint.decode(), output.decode())
            assert output or "-o /tmp" in block
        assert (tmp_path / "answer.wav").read_bytes().startswith(b"RIFF")
        assert (tmp_path / "good-morning.mp3").stat().st_size > 1000
