"""Demo accounts: keys made from a seed, so that a run can be repeated, and balances to trade with. These keys are no secrets."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final, Protocol

import msgspec

from lemon_trader.core.instrument import atoms
from lemon_trader.exchanges.signers import ED25519, HMAC_SHA256, Ed25519Verifier, HmacSha256Verifier, public_key

BALANCES: Final[Mapping[str, str]] = {"USDC": "10000", "SOL": "20", "BTC": "0.1", "ETH": "2"}


class Verifier(Protocol):
    """Who checks an account's signatures."""

    def reads(self, signature: str) -> bool:
        """Whether the text can be a signature at all."""

    def verify(self, text: bytes, signature: str) -> bool:
        """Whether the signature is the account's."""


class DemoAccount(msgspec.Struct, frozen=True):
    """One customer.

    Attributes:
        secret: what its user signs with; of an own account only what the exchange needs: "" with ED25519.
        balances: atoms by asset.
        scheme: how its requests are signed, ED25519 or HMAC_SHA256.
        tier: the fee tier that it pays by; None = what the exchange's rules say, which is the first.
        is_own: its keys are the user's and not made from a seed: they are never shown.
    """

    name: str
    api_key: str
    secret: str
    balances: dict[str, int]
    scheme: str = ED25519
    is_own: bool = False
    tier: str | None = None

    def verifier(self) -> Verifier:
        """Who checks this account's signatures."""
        if self.scheme == HMAC_SHA256:
            return HmacSha256Verifier(self.api_key, self.secret)
        return Ed25519Verifier(self.api_key)


def demo_accounts(seed: int, count: int = 2, balances: Mapping[str, str] = BALANCES, scheme: str = ED25519) -> list[DemoAccount]:
    """`count` accounts with these balances (decimal text by asset); the same seed gives the same keys.

    Raises:
        GateError: a balance that is not a number.
    """
    held = {asset: atoms(text) for asset, text in balances.items()}
    return [_account(seed, number, dict(held), scheme) for number in range(1, count + 1)]


def own_account(name: str, api_key: str, secret: str, balances: Mapping[str, str], scheme: str) -> DemoAccount:
    """An account with keys that somebody brought. Raises GateError for a balance that is not a number."""
    return DemoAccount(name, api_key, secret, {asset: atoms(text) for asset, text in balances.items()}, scheme, is_own=True)


def by_key(accounts: Sequence[DemoAccount]) -> dict[str, DemoAccount]:
    """The accounts by API key."""
    return {account.api_key: account for account in accounts}


def _account(seed: int, number: int, balances: dict[str, int], scheme: str) -> DemoAccount:
    secret = b64encode(sha256(f"lemon-trader sandbox {seed} account {number}".encode()).digest()).decode()
    api_key = f"demo-{seed}-{number}" if scheme == HMAC_SHA256 else public_key(secret)
    return DemoAccount(f"account-{number}", api_key, secret, balances, scheme)
