"""Accounts of the exchange alone whose keys the user chose, from a file of `[[account]]` tables.

With ED25519 the public key is enough: the exchange checks signatures and makes none. A secret that stands there all the same is used to
find its public key and goes no further.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.paper import paper_balances
from lemon_trader.config.settings import OwnAccount
from lemon_trader.config.sources import read_toml
from lemon_trader.exchanges.signers import HMAC_SHA256, Ed25519Verifier, HmacSha256Verifier, SecretError, public_key

TABLE: Final = "account"
WORDS: Final = frozenset({"name", "api_key", "secret", "balance"})
NAME_MAX: Final = 40


def read_accounts(path: Path, scheme: str, usual: Mapping[str, str]) -> tuple[OwnAccount, ...]:
    """The accounts that stand in the file.

    Args:
        path: a TOML file.
        scheme: how their requests are signed.
        usual: what an account begins with that names no balance, decimal text by asset.

    Raises:
        BadSetting: not such a file, a key that is none, a name or a key twice.
    """
    _, top = read_toml(path)
    tables = top.pop(TABLE, None)
    if top or not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise BadSetting("sandbox.accounts-shape", file=path)
    accounts = [_account(path, number, table, scheme, usual) for number, table in enumerate(tables, 1)]
    for what in ("name", "api_key"):
        values = [getattr(account, what) for account in accounts]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise BadSetting("sandbox.accounts-twice", file=path, what=what, value=twice[:NAME_MAX])
    return tuple(accounts)


def balances_of(text: str, name: str) -> dict[str, str]:
    """Decimal text by asset, of a text like `USDC=1000,SOL=2`. Raises BadSetting, naming the place `name`."""
    return {asset: f"{amount:f}" for asset, amount in paper_balances(text, name).items()}


def _account(path: Path, number: int, table: Mapping[str, object], scheme: str, usual: Mapping[str, str]) -> OwnAccount:
    place = f"{path}: [[{TABLE}]] {number}"
    strangers = sorted(table.keys() - WORDS)
    if strangers or not all(isinstance(value, str) for value in table.values()):
        wrong = strangers[0] if strangers else next(word for word, value in table.items() if not isinstance(value, str))
        raise BadSetting("sandbox.account-word", place=place, word=wrong[:NAME_MAX], words=", ".join(sorted(WORDS)))
    texts = {word: str(value) for word, value in table.items()}
    api_key, secret = texts.get("api_key", ""), texts.get("secret", "")
    try:
        if scheme == HMAC_SHA256:
            HmacSha256Verifier(api_key, secret)
        else:
            own_key = public_key(secret) if secret else api_key
            if api_key not in {"", own_key}:
                raise BadSetting("sandbox.account-halves", place=place)
            Ed25519Verifier(own_key)
            api_key, secret = own_key, ""
    except SecretError as error:
        raise BadSetting("sandbox.account-key", place=place, reason=str(error)) from error
    name = texts.get("name") or f"own-{number}"
    if len(name) > NAME_MAX or not name.isprintable():
        raise BadSetting("sandbox.account-name", place=place, most=NAME_MAX)
    balances = balances_of(texts["balance"], place) if "balance" in texts else dict(usual)
    return OwnAccount(name, api_key, secret, balances)
