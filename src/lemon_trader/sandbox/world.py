"""One sandbox put together: its markets, the outside world that moves them, its exchange and accounts. No socket and no clock.

A server paces it by the wall, a simulation by virtual time.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from lemon_trader.exchanges.signers import ED25519
from lemon_trader.market.acts import Source, merge
from lemon_trader.market.errors import RecordingError
from lemon_trader.market.instruments import default_instrument
from lemon_trader.market.played import named_recordings
from lemon_trader.market.scenarios import SCENARIOS, play_scenario
from lemon_trader.market.synthetic import synthetic
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.rules import Rules
from lemon_trader.sandbox.accounts import BALANCES, DemoAccount, demo_accounts
from lemon_trader.sandbox.app import SandboxApp
from lemon_trader.sandbox.desk import Switches
from lemon_trader.sandbox.faults import Faults
from lemon_trader.sandbox.state import Kept, begin_ticks, restore, restore_desk
from lemon_trader.sandbox.terms import sandbox_rules, terms_of

SYNTHETIC: Final = "synthetic"
EMPTY: Final = "empty"  # books without an outside world, for tests
SYMBOLS: Final = ("SOL_USDC", "SOL_USDC_PERP", "BTC_USDC", "BTC_USDC_PERP", "ETH_USDC", "ETH_USDC_PERP")


class WorldOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What kind of sandbox.

    Attributes:
        market: "synthetic", the name of a scenario, "empty", or recordings: see `market.played`.
        symbol: the market that a recording or scenario plays; None = what the recording's table says, SOL_USDC for a scenario.
        twins: further markets that play the same recording, the perpetual of a coin beside its spot market.
        stories: further scenarios, by the market that plays them.
        symbols: the markets that are listed besides; those that nothing else plays are synthetic.
        seed: of keys and of everything made up.
        activity_pct: how busy synthetic markets are; 100 = usual.
        accounts: how many demo accounts.
        balances: of each of them, decimal text by asset.
        tier: the demo accounts' fee tier; None = what the rules say.
        own: accounts with keys of the user's, besides.
        scheme: how their requests are signed.
    """

    market: str = SYNTHETIC
    symbol: str | None = None
    twins: Sequence[str] = ()
    stories: Mapping[str, str] = msgspec.field(default_factory=dict)
    symbols: Sequence[str] = SYMBOLS
    seed: int = 1
    activity_pct: int = 100
    accounts: int = 2
    balances: Mapping[str, str] = msgspec.field(default_factory=lambda: dict(BALANCES))
    tier: str | None = None
    own: Sequence[DemoAccount] = ()
    scheme: str = ED25519
    rules: Rules = msgspec.field(default_factory=sandbox_rules)
    switches: Switches = msgspec.field(default_factory=Switches)


class World(msgspec.Struct, frozen=True):
    """A sandbox without a carrier: apply the source's acts to the app as their time comes."""

    app: SandboxApp
    source: Source
    accounts: tuple[DemoAccount, ...]
    start_us: int


def make_world(options: WorldOptions, start_us: int, *, faults: Faults | None = None, kept: Kept | None = None) -> World:
    """The sandbox as of `start_us`, exchange time µs UTC; a recording is moved so that it begins then.

    `kept` is what an earlier life left: accounts, orders and books go on from it, and a synthetic market at its prices.

    Raises:
        UnknownMarket: a symbol that is not listed.
        RecordingError: a recording that cannot be played.
        GateError: a balance that is not a number.
        UnknownTier: a fee tier that there is not.
        StateError: an earlier life that does not go with these markets.
    """
    source = _source(options, start_us, kept)
    demo = demo_accounts(options.seed, options.accounts, options.balances, options.scheme)
    accounts = [*(msgspec.structs.replace(account, tier=options.tier) for account in demo), *options.own]
    markets = list(source.instruments.values())
    exchange = Exchange(markets, options.rules, terms_of(markets))
    exchange.advance(start_us)
    ways = restore(kept, exchange, start_us) if kept is not None else []
    app = SandboxApp(exchange, markets, accounts, switches=options.switches, faults=faults)
    if kept is not None:
        restore_desk(kept, app.desk, ways)
    return World(app, source, tuple(accounts), start_us)


def _source(options: WorldOptions, start_us: int, kept: Kept | None) -> Source:
    listed = [default_instrument(symbol) for symbol in options.symbols]
    if options.market == EMPTY:
        return Source({market.symbol: market for market in listed}, start_us, iter(()))
    played = []
    stories = dict(options.stories)
    if options.market in SCENARIOS:
        stories.setdefault(options.symbol or "SOL_USDC", options.market)
    elif options.market != SYNTHETIC:
        from lemon_trader.market.recordings import open_recording  # noqa: PLC0415  arrays are loaded by whoever plays a recording

        named = named_recordings(options.market, options.symbol)
        named += [(twin, file) for twin in options.twins for _, file in named]
        played += [open_recording(file, symbol=symbol, shift_to_us=start_us, seed=options.seed) for symbol, file in named]
        markets = [symbol for source in played for symbol in source.instruments]
        twice = next((symbol for symbol in markets if markets.count(symbol) > 1), None)
        if twice is not None:
            raise RecordingError("recording.same-market", market=options.market, symbol=twice)
    played += [
        play_scenario(SCENARIOS[name], default_instrument(symbol), start_us=start_us, seed=options.seed) for symbol, name in stories.items()
    ]
    taken = {symbol for source in played for symbol in source.instruments}
    rest = [market for market in listed if market.symbol not in taken]
    if rest:
        prices = begin_ticks(kept, rest) if kept is not None else None
        played.append(synthetic(rest, seed=options.seed, start_us=start_us, activity_pct=options.activity_pct, prices=prices))
    return merge(played)
