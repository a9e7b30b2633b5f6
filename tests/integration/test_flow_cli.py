"""The `parley flow` commands, as a user runs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from protocol.errors import ConfigError, FlowError
from stack.flow import app

FLOW = """\
id: t
variables: {company: Blue}
nodes:
  - {id: hello, type: start, data: {greeting: "Hello, this is {{ company }}."}}
  - {id: talk, type: conversation, data: {instructions: "Be kind."}}
  - {id: bye, type: end, data: {text: "Goodbye!"}}
edges:
  - {id: e1, source: hello, target: talk}
  - id: e2
    source: talk
    target: bye
    data: {condition_type: llm, condition: the caller has nothing more to ask}
"""

SCENARIOS = """\
flow: flow.yaml
llm:
  - {edge: nothing more, user: that's all}
  - {say: We open at nine., user: open}
scenarios:
  - name: asks and goes
    greeting: this is blue
    turns:
      - user: When do you open?
        expect: {says: at nine, path: [hello, talk], node: talk, within_ms: 5000}
      - user: No, that's all.
        expect: {says: goodbye, ended: true, path: [talk, bye]}
"""

WRONG = """
  - name: expects too much
    turns:
      - user: When do you open?
        expect:
          {says: at ten, says_not: nine, path: [talk], node: bye, variables: {a: 1},
           matches: "x{3}", ended: true, error: provider_timeout, first_word_within_ms: 0.001}
      - {user: something unscripted}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.yaml").write_text(FLOW)
    (tmp_path / "good.yaml").write_text(SCENARIOS)
    (tmp_path / "bad.yaml").write_text(SCENARIOS + WRONG)
    return tmp_path


def test_validate_names_problems_and_sets_the_status(folder: Path) -> None:
    good = CliRunner().invoke(app, ["validate", "flow.yaml"])
    assert (good.exit_code, good.output) == (0, "flow.yaml: fine\n")
    (folder / "wrong.yaml").write_text(FLOW.replace("target: talk", "target: tlak"))
    bad = CliRunner().invoke(app, ["validate", "flow.yaml", "wrong.yaml", "none.yaml"])
    assert bad.exit_code == 1
    assert "wrong.yaml:8: edges[0].target: there is no node 'tlak'" in bad.output
    assert "  none.yaml: cannot be read" in bad.output
    report = json.loads(CliRunner().invoke(app, ["validate", "--json", "wrong.yaml"]).output)
    assert "edges[0].target" in [problem["path"] for problem in report["wrong.yaml"]]


def test_show_draws(folder: Path) -> None:
    assert "flowchart TD" in CliRunner().invoke(app, ["show", "flow.yaml"]).output
    assert "digraph" in CliRunner().invoke(app, ["show", "flow.yaml", "--dot"]).output


def test_a_file_that_cannot_be_written_is_named(folder: Path) -> None:
    source = Path(__file__).parents[1] / "unit/flows/foreign/pipecat_older.json"
    result = CliRunner().invoke(app, ["import", str(source), "-o", "no/out.yaml"])
    assert isinstance(result.exception, ConfigError)
    assert "no/out.yaml cannot be written: No such file" in result.exception.message


def test_show_makes_a_picture_where_graphviz_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("dot"):
        result = CliRunner().invoke(app, ["show", "flow.yaml", "--svg", "a.svg"])
        assert result.exit_code == 0
        assert "<svg" in (folder / "a.svg").read_text()
    monkeypatch.setenv("PATH", "")
    result = CliRunner().invoke(app, ["show", "flow.yaml", "--svg", "a.svg"])
    assert isinstance(result.exception, ConfigError)
    assert "graphviz" in result.exception.message


def test_scenarios_pass_and_fail_readably(folder: Path) -> None:
    good = CliRunner().invoke(app, ["test", "good.yaml"])
    assert good.exit_code == 0, good.output
    assert "✓ asks and goes" in good.output
    bad = CliRunner().invoke(app, ["test", "bad.yaml"])
    assert bad.exit_code == 1
    for part in (
        "expected 'at ten'; it said 'We open at nine.'",
        "expected it not to say 'nine'",
        "expected a match of 'x{3}'",
        "expected the path talk; it went hello → talk",
        "expected to stand at 'bye'; it stands at 'talk'",
        "expected a = 1; it is not set",
        "expected the session to end",
        "expected the error 'provider_timeout'",
        "expected a word within 0.001 ms; it took",
        "turn 2 (user: 'something unscripted'): it failed: scripted: no reply is left",
        "1 passed, 1 failed",
    ):
        assert part in bad.output
    only = CliRunner().invoke(app, ["test", "bad.yaml", "-k", "asks", "--json"])
    assert only.exit_code == 0
    assert [o["name"] for o in json.loads(only.output)["bad.yaml"]] == ["asks and goes"]
    none = CliRunner().invoke(app, ["test", "bad.yaml", "-k", "aks"])
    assert isinstance(none.exception, FlowError)
    assert none.exception.message == "No scenario has 'aks' in its name."


def test_a_scenario_file_with_faults_is_refused_with_lines(folder: Path) -> None:
    (folder / "x.yaml").write_text("flow: flow.yaml\nscenarios:\n  - {name: a, truns: []}\n")
    result = CliRunner().invoke(app, ["test", "x.yaml"])
    assert isinstance(result.exception, FlowError)
    assert "scenarios[0].truns: unknown field; did you mean" in result.exception.message
    assert "(line 3)" in result.exception.message


def test_run_talks(folder: Path) -> None:
    result = CliRunner().invoke(
        app,
        ["run", "flow.yaml", "--llm", "scripted", "--var", "company=Red"],
        input="hello\nand more\n\n",
    )
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "< Hello, this is Red.",
        "< This is the scripted answer.",
        "< This is the scripted answer.",
    ]


def test_a_variable_that_there_is_not_is_refused(folder: Path) -> None:
    for command in (["run", "flow.yaml", "--llm", "scripted"], ["test", "good.yaml"]):
        result = CliRunner().invoke(app, [*command, "--var", "compny=Red"], input="\n")
        assert isinstance(result.exception, FlowError)
        assert "no variable 'compny'; did you mean 'company'?" in result.exception.message


def test_import_writes_a_flow_and_notes(folder: Path) -> None:
    source = Path(__file__).parents[1] / "unit/flows/foreign/pipecat_older.json"
    result = CliRunner().invoke(app, ["import", str(source), "-o", "out.yaml"])
    assert result.exit_code == 0
    assert CliRunner().invoke(app, ["validate", "out.yaml"]).exit_code == 0
