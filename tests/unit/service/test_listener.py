"""Addresses and ports."""

from __future__ import annotations

import socket
from contextlib import closing

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from controller.model.errors import ConfigurationError
from controller.service.listener import Listener, open_port, parse_address


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        (":8080", ("", 8080)),
        ("[::]:8080", ("::", 8080)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:65535", ("localhost", 65535)),
    ],
)
def test_addresses(text: str, parsed: tuple[str, int]) -> None:
    assert parse_address(text) == parsed


@pytest.mark.parametrize(
    "text", ["", "8080", "127.0.0.1", "::1:8080", "host:", "host:http", "host:65536", "[::1]", "a b:1", ":-1"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1:8080") as caught:
        parse_address(text)
    assert caught.value.reason == "ListenAddressInvalid"


def test_a_port_in_use_is_named() -> None:
    with closing(open_port("127.0.0.1:0")) as port:
        address = f"127.0.0.1:{port.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match=address) as caught:
            open_port(address)
    assert caught.value.reason == "PortInUse"


@pytest.mark.parametrize("address", ["192.0.2.1:0", "no-such-host.invalid:0"])
def test_an_address_of_another_machine_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_port(address)
    assert caught.value.reason == "ListenAddressInvalid"


@pytest.mark.parametrize("address", ["127.0.0.1:0", ":0", "[::]:0", "[::1]:0"])
def test_a_free_port_is_taken_and_reported(address: str) -> None:
    if "::" in address and not socket.has_dualstack_ipv6():
        address = "127.0.0.1:0"  # A machine without IPv6 has nothing to show here.
    listener = Listener(Starlette(routes=[Route("/", lambda request: PlainTextResponse("here"))]), open_port(address))
    listener.start()
    try:
        host, _, port = listener.address.rpartition(":")
        assert int(port) > 0
        if address == ":0":
            host = "127.0.0.1"
        assert httpx.get(f"http://{host.replace('[::]', '[::1]')}:{port}/", timeout=20).text == "here"
    finally:
        listener.stop()


def test_a_connection_made_before_the_start_is_served() -> None:
    listener = Listener(
        Starlette(routes=[Route("/", lambda request: PlainTextResponse("here"))]),
        port := open_port("127.0.0.1:0"),
    )
    with closing(socket.create_connection(port.getsockname(), timeout=20)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        listener.start()
        try:
            assert connection.recv(64).startswith(b"HTTP/1.1 200 ")
        finally:
            listener.stop()
