"""Which exchanges there are: a name brings its dialect, its ways to sign and what its keys may sign. A new exchange adds one row."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from lemon_trader.exchanges.backpack import words as backpack
from lemon_trader.exchanges.backpack.client import Backpack
from lemon_trader.exchanges.dialect import Dialect, Signer
from lemon_trader.exchanges.signers import (
    ED25519,
    HMAC_SHA256,
    Ed25519Signer,
    Ed25519Verifier,
    HmacSha256Signer,
    HmacSha256Verifier,
    SecretError,
)

Verifier = Ed25519Verifier | HmacSha256Verifier


class Exchange(msgspec.Struct, frozen=True):
    """One exchange.

    Attributes:
        dialect: makes the client's half of its protocol.
        signable: instructions a key of ours may sign there.
        signing: ways to sign it understands, the usual first.
        rest_url / ws_url: where it lives.
    """

    name: str
    dialect: Callable[[], Dialect]
    signable: frozenset[str]
    signing: tuple[str, ...]
    rest_url: str
    ws_url: str


EXCHANGES: Final[Mapping[str, Exchange]] = {
    backpack.NAME: Exchange(
        backpack.NAME,
        Backpack,
        backpack.SIGNABLE,
        (ED25519, HMAC_SHA256),
        "https://api.backpack.exchange",
        "wss://ws.backpack.exchange",
    ),
}


def exchange(name: str) -> Exchange:
    """The exchange of that name. Raises ValueError with the names there are."""
    found = EXCHANGES.get(name)
    if found is None:
        raise ValueError(f"no exchange is called {name[:40]!r}; there are: {', '.join(sorted(EXCHANGES))}")
    return found


def signer(name: str, secret: str, *, api_key: str | None = None, signing: str = ED25519) -> Signer:
    """A signer for one exchange that signs what its row allows and nothing else.

    Raises:
        ValueError: an unknown exchange or way to sign.
        SecretError: a secret or API key of the wrong format.
    """
    signable = exchange(name).signable
    if signing == ED25519:
        return Ed25519Signer(secret, signable=signable, api_key=api_key)
    if signing == HMAC_SHA256:
        if api_key is None:
            raise SecretError("HMAC-SHA256 needs an API key beside the secret; with ED25519 it follows from the secret")
        return HmacSha256Signer(api_key, secret, signable=signable)
    raise ValueError(f"no way to sign is called {signing[:40]!r}; there are: {ED25519}, {HMAC_SHA256}")


def verifier(api_key: str, *, secret: str = "", signing: str = ED25519) -> Verifier:
    """Who checks signatures in the server's role: by the public key alone, or by the shared secret. Raises ValueError, SecretError."""
    if signing == ED25519:
        return Ed25519Verifier(api_key)
    if signing == HMAC_SHA256:
        return HmacSha256Verifier(api_key, secret)
    raise ValueError(f"no way to sign is called {signing[:40]!r}; there are: {ED25519}, {HMAC_SHA256}")
