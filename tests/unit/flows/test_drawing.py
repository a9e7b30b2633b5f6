from __future__ import annotations

from flow_backend.flows.document import Flow
from flow_backend.flows.drawing import dot, mermaid

FLOW = Flow.model_validate(
    {
        "id": "f",
        "nodes": [
            {"id": "a b", "type": "start"},
            {
                "id": "talk",
                "type": "conversation",
                "data": {"label": 'Say "hi" | <b>', "global": True},
            },
            {"id": "end", "type": "end"},
        ],
        "edges": [
            {"id": "1", "source": "a b", "target": "talk"},
            {
                "id": "2",
                "source": "talk",
                "target": "end",
                "data": {"condition_type": "llm", "condition": 'the user says "bye"\nor goes'},
            },
        ],
    }
)


def test_mermaid_escapes_what_would_break_it() -> None:
    assert mermaid(FLOW).splitlines() == [
        "flowchart TD",
        '    n0(["a b<br>(start)"])',
        '    n1["Say #quot;hi#quot; #124; #lt;b#gt;<br>(conversation)"]',
        '    n2(["end<br>(end)"])',
        "    n0 --> n1",
        '    n1 -->|"the user says #quot;bye#quot; or goes"| n2',
        "    style n1 stroke-dasharray: 5 5",
    ]


def test_dot_escapes_what_would_break_it() -> None:
    drawn = dot(FLOW)
    assert r'n1 [label="Say \"hi\" | <b>\n(conversation)"' in drawn
    assert r'n1 -> n2 [label="the user says \"bye\" or goes"];' in drawn
