from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_backend.flows.loading import MAX_VALUES, load_file, load_text
from protocol.errors import FlowError


def test_yaml_reads_as_people_mean_it() -> None:
    text = "a: 1\nwhen: 2024-01-01\non: yes\nb: [1.5, true, null, 'x']\nc: &x {d: 1}\ne: *x\n"
    assert load_text(text).data == {
        "a": 1,
        "when": "2024-01-01",
        "on": "yes",
        "b": [1.5, True, None, "x"],
        "c": {"d": 1},
        "e": {"d": 1},
    }


def test_lines_are_known() -> None:
    source = load_text("a: 1\nb:\n  - x\n  - y: 2\n    z: 3\n")
    assert source.line_of(("b", 1, "z")) == 5
    assert source.line_of(("b", 1, "missing", 4)) == 4


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_json_reads_back(value: object) -> None:
    assert load_text(json.dumps({"v": value})).data == {"v": value}


BOMB = 'a: &a ["x","x","x","x","x","x","x","x","x","x"]\n' + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: [", "line 2, column 1"),
        ("a: 1\na: 2", "line 2: the key 'a' stands twice"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
        ("a: !!binary aGk=", "no value that JSON could hold"),
        ("a: .inf", "no value that JSON could hold"),
        ("? [1]\n: 2", "a key must be plain text"),
        ("[" * 3000 + "]" * 3000, "nested deeper"),
        ("&a [*a]", "nested deeper"),
        (BOMB, f"more than {MAX_VALUES} values"),
        ("x" * 2_000_001, "larger than"),
        ("\x00", "no YAML or JSON"),
    ],
)
def test_what_is_no_document_is_refused(text: str, part: str) -> None:
    with pytest.raises(FlowError) as caught:
        load_text(text, name="f.yaml")
    assert part in caught.value.message
    assert caught.value.message.startswith("f.yaml: ")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match=r"missing\.yaml: cannot be read"):
        load_file(tmp_path / "missing.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"\xff\xfe\xe9")
    with pytest.raises(FlowError, match="not UTF-8"):
        load_file(tmp_path / "latin.yaml")
