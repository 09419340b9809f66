"""Free ports: no two processes get one port, and none lies where outgoing connections get theirs."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.base import free_port as module
from proxy.base.free_port import free_port

_TAKE = "from proxy.base.free_port import free_port; print(*(free_port() for _ in range(200))); input()"


def test_ports_of_one_process_differ() -> None:
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == len(ports)


def test_a_process_never_gets_a_port_that_another_has_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other has bound none of them yet: this is the moment in which a port that the system assigns is lost."""
    with subprocess.Popen(
        [sys.executable, "-c", _TAKE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = {int(port) for port in other.stdout.readline().split()}
        assert len(theirs) == 200
        monkeypatch.setattr(module, "_FIRST", min(theirs))
        monkeypatch.setattr(module, "_first_outgoing", lambda: min(theirs) + 300)
        ours = {free_port() for _ in range(50)}
        assert not ours & theirs
        other.communicate("\n")


def test_a_port_that_a_server_listens_on_is_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    first = free_port()
    with socket.create_server(("127.0.0.1", first)):
        monkeypatch.setattr(module, "_reserved", {})
        monkeypatch.setattr(module, "_FIRST", first)
        monkeypatch.setattr(module, "_first_outgoing", lambda: first + 1)
        with pytest.raises(OSError, match=f"no TCP port from {first} to {first} is free"):
            free_port()


def test_outgoing_connections_get_no_such_port() -> None:
    """The system gives a client's connection a port of the range that ip_local_port_range names."""
    begin = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(port < begin for port in (free_port() for _ in range(200)))


def test_a_process_that_asks_for_many_gives_the_oldest_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 3)
    monkeypatch.setattr(module, "_reserved", {})
    ports = [free_port() for _ in range(5)]
    assert list(module._reserved) == ports[2:]
