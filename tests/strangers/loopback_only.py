"""Keep a stranger's client on this machine: a setting that was missed must fail here and not reach the real exchange."""

import ipaddress
import socket


class NotLoopback(OSError):
    """A client wanted to leave this machine."""


def stay_on_loopback():
    """From now on this process resolves and connects to loopback addresses alone."""
    resolve, connect, connect_ex = socket.getaddrinfo, socket.socket.connect, socket.socket.connect_ex

    def checked(host):
        name = host.decode() if isinstance(host, bytes) else host
        if name != "localhost" and not ipaddress.ip_address(name).is_loopback:
            raise NotLoopback(f"{name} is not loopback")

    def only_here(host, *rest, **named):
        try:
            checked(host)
        except ValueError:
            raise NotLoopback(f"{host} is not loopback; the client was not pointed at the sandbox") from None
        return resolve(host, *rest, **named)

    def connect_here(self, address):
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            checked(address[0])
        return connect(self, address)

    def connect_ex_here(self, address):
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            checked(address[0])
        return connect_ex(self, address)

    socket.getaddrinfo = only_here
    socket.socket.connect = connect_here
    socket.socket.connect_ex = connect_ex_here
