from __future__ import annotations

import errno
import socket

import pytest

from protocol.errors import ConfigError
from stack import ports
from stack.ports import Port, require_free


def refusal(port: Port) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        require_free([port])
    return caught.value


def test_a_port_that_somebody_listens_on_is_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        error = refusal(Port(holder.getsockname()[1], "the backend", "BACKEND_PORT"))
    assert error.code == "port_in_use"
    assert "is in use by" in error.message


def test_an_address_of_another_machine_is_named_as_such() -> None:
    error = refusal(Port(0, "the backend", "BACKEND_PORT", host="192.0.2.1"))
    assert error.code == "setting_invalid"
    assert error.message.startswith("BACKEND_HOST: 192.0.2.1 is not an address of this machine")


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (socket.gaierror(-2, "Name or service not known"), "BACKEND_HOST: nowhere is not an addr"),
        (OSError(errno.EACCES, "Permission denied"), "takes more rights. Set BACKEND_PORT"),
    ],
)
def test_other_failures_are_not_called_in_use(
    monkeypatch: pytest.MonkeyPatch, failure: OSError, said: str
) -> None:
    def fail(port: Port) -> None:
        raise failure

    monkeypatch.setattr(ports, "require_bindable", fail)
    error = refusal(Port(80, "the backend", "BACKEND_PORT", host="nowhere"))
    assert said in error.message
    assert "in use" not in error.message
