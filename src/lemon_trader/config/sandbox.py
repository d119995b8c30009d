"""Settings of the exchange alone and of the demo: neither knows of keys, modes or accounts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import HOUSE, MARKET
from lemon_trader.config.model import read
from lemon_trader.config.resolve import Request, market_settings
from lemon_trader.config.sandbox_accounts import balances_of, read_accounts
from lemon_trader.config.settings import DemoSettings, SandboxSettings
from lemon_trader.config.sources import Given, Layers
from lemon_trader.strategies.parameter import Parameter, Value

SIGNATURES: Final = ("ed25519", "hmac-sha256")
AS_FOLLOWED: Final = "max"  # of --speed: as fast as the clients follow
_HOUSE: Final = {p.name: p for p in HOUSE}

SANDBOX_ONLY: Final = (
    Parameter("port", "--port", "int", "0", "help.port", low="0", high="65535"),
    Parameter("signatures", "--signatures", "choice", SIGNATURES[0], "help.signatures", choices=SIGNATURES),
    Parameter("symbol", "--symbol", "text", None, "help.played-symbol"),
    Parameter("accounts", "--accounts", "int", "2", "help.accounts", low="0", high="1000"),
    Parameter("balance", "--balance", "text", "USDC=10000,SOL=20,BTC=0.1,ETH=2", "help.balance"),
    Parameter("accounts_file", "--accounts-file", "text", None, "help.accounts-file"),
    Parameter("state", "--state", "text", None, "help.state"),
    Parameter("fee_tier", "--fee-tier", "text", None, "help.fee-tier"),
    Parameter("switches", "--switches", "text", None, "help.switches"),
    Parameter("admin_port", "--admin-port", "int", "0", "help.admin-port", low="0", high="65535"),
)
SANDBOX_PARAMETERS: Final = (*SANDBOX_ONLY, *MARKET, _HOUSE["lang"], _HOUSE["json"])
DEMO_PARAMETERS: Final = (*MARKET, _HOUSE["lang"], _HOUSE["json"])


def resolve_sandbox(request: Request) -> SandboxSettings:
    """The exchange's settings, from flags, environment and defaults. Raises BadSetting."""
    given = _given(SANDBOX_PARAMETERS, request)
    is_followed = "speed" in given and str(given["speed"].value).lower() == AS_FOLLOWED
    if is_followed:
        del given["speed"]
    values = _checked("sandbox", SANDBOX_PARAMETERS, given)
    balances = balances_of(str(values["balance"]), "--balance")
    signatures, file, state = str(values["signatures"]), values["accounts_file"], values["state"]
    return SandboxSettings(
        port=cast("int", values["port"]),
        market=market_settings(values),
        symbol=None if values["symbol"] is None else str(values["symbol"]),
        is_followed=is_followed,
        signatures=signatures,
        accounts=cast("int", values["accounts"]),
        balances=balances,
        own=() if file is None else read_accounts(Path(str(file)), signatures, balances),
        state=None if state is None else Path(str(state)),
        fee_tier=None if values["fee_tier"] is None else str(values["fee_tier"]),
        switches=_switches(values["switches"]),
        admin_port=cast("int", values["admin_port"]),
        lang=str(values["lang"] or request.lang),
        json=bool(values["json"]),
    )


def resolve_demo(request: Request) -> DemoSettings:
    """The demo's settings, from flags, environment and defaults. Raises BadSetting."""
    values = _checked("demo", DEMO_PARAMETERS, _given(DEMO_PARAMETERS, request))
    return DemoSettings(market=market_settings(values), lang=str(values["lang"] or request.lang), json=bool(values["json"]))


def _switches(given: Value) -> dict[str, str]:
    """Text by name, of a text like `client_id_rule=forever,taker_delay_us=100000`."""
    found: dict[str, str] = {}
    for part in "" if given is None else str(given).split(","):
        name, equals, text = (word.strip() for word in part.partition("="))
        if not name and not equals:
            continue
        if not name or not text or name in found:
            raise BadSetting("sandbox.switch-form", value=part.strip()[:60])
        found[name] = text
    return found


def _given(parameters: tuple[Parameter, ...], request: Request) -> dict[str, Given]:
    return Layers(request.flags, request.environment, None, request.flag_words).collect(p.name for p in parameters)


def _checked(name: str, parameters: tuple[Parameter, ...], given: Mapping[str, Given]) -> dict[str, Value]:
    return read(name, parameters, {k: g.value for k, g in given.items()}, {k: g.origin for k, g in given.items()})
