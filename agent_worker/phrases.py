"""Which fixed phrase tells the caller the truth about an error."""

from __future__ import annotations

from agent_worker.settings import WorkerSettings

_UNREACHABLE = frozenset(
    {
        "backend_unavailable",
        "provider_unavailable",
        "provider_timeout",
        "provider_rate_limited",
        "provider_unauthorized",
        "provider_not_configured",
        "provider_unknown",
        "database_unavailable",
        "disk_full",
        "overloaded",
        "rate_limited",
        "stream_stalled",
    }
)
_NO_FLOW = frozenset({"flow_not_found", "flow_invalid"})


def phrase_for(code: str, settings: WorkerSettings) -> str:
    """The phrase for an error's code; may be empty."""
    if code in _NO_FLOW:
        return settings.phrase_no_flow
    if code in _UNREACHABLE:
        return settings.phrase_unreachable
    return settings.phrase_failed
