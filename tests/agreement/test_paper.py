"""Paper agrees with replay and with live: wherever the market proves its fills, and always with its own journal.

Paper's orders are not in the market, so on any tape it fills later and less than an exchange would. On a market that only ever passes our
prices outright, by more than we have there, nothing is left to doubt: then the three must send the same commands and have the same books.
On every tape paper's decisions are those that the facts it told lead to, whoever carries them.
"""

import random
from decimal import Decimal

import pytest
from tests.agreement.tapes import CASES, PERP, SPOT, Case
from tests.agreement.test_carriers import live
from tests.fake_env import START_US
from tests.replay_rig import Rig, bare, books_of_bot, books_of_exchange, durable, replay, without_id
from tests.stepped_loopback import SteppedPaper

from lemon_trader.core.state import AccountState
from lemon_trader.core.units import BUY, SELL, US_PER_S
from lemon_trader.engine.startup import fold
from lemon_trader.market.acts import Level, Reference, Source, Take
from lemon_trader.market.instruments import default_instrument
from lemon_trader.sandbox.desk import Switches
from lemon_trader.sandbox.world import EMPTY, WorldOptions, make_world

LEVELS, LOTS, FIRST, STEP = (
    12,
    50_000,
    13,
    20,
)  # of the plain book: levels a side, lots of each, ticks of the first from the middle and between
SWEPT = 5


class Outright(Case):
    """A market that steps less than our distance from it, or is swept through several levels at once; each time it states its book anew."""

    def source(self):
        instrument = default_instrument(self.symbol)
        return Source({self.symbol: instrument}, START_US, iter(self._acts(instrument.is_perp)))

    def _acts(self, is_perp):
        chance = random.Random(self.seed)
        middle, shown, acts = 15_000, {}, []

        def state(at_us, middle):
            prices = {(s, middle - s * (FIRST + STEP * k)): LOTS for s in (BUY, SELL) for k in range(LEVELS)}
            gone = [Level(at_us, self.symbol, s, t, 0) for s, t in shown if (s, t) not in prices]
            come = [Level(at_us, self.symbol, s, t, n) for (s, t), n in prices.items()]
            shown.clear()
            shown.update(prices)
            return gone + come + come  # once more: what met our orders did not stay there

        for tenth in range(self.seconds * 10):
            at_us = START_US + 1_000 + tenth * US_PER_S // 10
            if tenth % 10 == 0 and is_perp:
                acts.append(Reference(at_us, self.symbol, middle, middle, 10_000))
            acts.append(Level(at_us, self.symbol, BUY, 5_000, 1 + tenth))  # a sign of life far from everything
            what = chance.random()
            if tenth == 0:
                acts += state(at_us, middle)
            elif what < 0.06 and tenth > 40:
                side = chance.choice((BUY, SELL))
                acts.append(Take(at_us, self.symbol, side, SWEPT * LOTS, middle + side * (FIRST + STEP * (SWEPT - 1))))
                acts += state(at_us, middle)
            elif what < 0.30 and tenth > 40:
                middle += chance.choice((-1, 1)) * chance.randint(1, 8)
                acts += state(at_us, middle)
        return acts


_WIDE = {"spread": Decimal("0.3"), "volatility_factor": Decimal(0)}
_QUICK = {
    "entry": "market",
    "entry_wait": 5,
    "cooldown": 2,
    "pause_after_stop": 5,
    "take_profit_pct": Decimal("0.3"),
    "step_pct": Decimal("0.3"),
}
OUTRIGHT = [
    Outright("maker on spot", "market-maker", SPOT, "outright", _WIDE, seed=1, seconds=60, least=60),
    Outright("maker on a perpetual", "market-maker", PERP, "outright", _WIDE, seed=2, seconds=60, least=60),
    Outright("ladder on spot", "martingale", SPOT, "outright", _QUICK, seed=3, seconds=60, least=10),
    Outright("ladder on a perpetual", "martingale", PERP, "outright", _QUICK, seed=4, seconds=60, least=10),
]  # fmt: skip


def paper(case):
    """The tape as a public market in front of a paper account."""
    options = WorldOptions(market=EMPTY, symbols=(case.symbol,), accounts=1, balances={"USDC": "10000"}, switches=Switches(heartbeat_us=0))
    world = make_world(options, START_US)
    venue = SteppedPaper(world)
    terms = venue.terms(START_US)
    rig = Rig(bare(case.pair, default_instrument(case.symbol), venue), venue, venue.live.account_exchange, START_US)
    told = []
    turn = rig.bot.engine.turn
    rig.bot.engine.turn = lambda facts: (told.append(tuple(facts)), turn(facts))[1]
    try:
        rig.open()
        rig.play(case.source())
    finally:
        venue.close()
    return rig, [terms, *told]


class Collector:
    """A venue that hears commands and says nothing."""

    def __init__(self):
        self.commands = []

    def send(self, commands):
        self.commands += commands

    def expires_us(self, now_us):
        return now_us + 5 * US_PER_S


@pytest.mark.slow
@pytest.mark.parametrize("case", OUTRIGHT, ids=lambda case: case.name)
def test_where_the_market_proves_each_fill_paper_replay_and_live_send_the_same_and_own_the_same(case):
    replayed, lived, (papered, _) = replay(case.source(), case.pair), live(case), paper(case)
    sent = {name: [without_id(c) for c in rig.venue.commands] for name, rig in (("live", lived), ("paper", papered), ("replay", replayed))}
    assert len(sent["replay"]) >= case.least, "nothing happened on this tape, so it proves nothing"
    for name in ("live", "paper"):
        differ = next((n for n, (a, b) in enumerate(zip(sent[name], sent["replay"], strict=False)) if a != b), None)
        assert differ is None, f"command {differ}: {name} {sent[name][differ]}, replay {sent['replay'][differ]}"
        assert len(sent[name]) == len(sent["replay"])
    books = [books_of_bot(rig.bot.market) for rig in (papered, lived, replayed)]
    assert books[0] == books[1] == books[2]
    assert books[0] == books_of_exchange(papered.exchange, "paper", papered.bot.instrument)
    makers = [f for f in papered.exchange.accounts["paper"].fills if f.is_maker]
    assert len(makers) >= 3, "few fills compare too little"


ORDINARY = [next(c for c in CASES if c.name.startswith(name)) for name in ("maker on spot", "maker rebalances", "ladder on a perpetual")]


@pytest.mark.parametrize("case", ORDINARY, ids=lambda case: case.name)
def test_on_any_tape_what_paper_sends_follows_from_what_it_told_and_its_journal_says_it_all(case):
    rig, (terms, *told) = paper(case)
    assert len(rig.venue.commands) >= case.least // 2
    again = Collector()
    carried = Rig(bare(case.pair, rig.bot.instrument, again), again, rig.exchange, START_US)
    carried.bot.start(START_US, terms)
    for facts in told:
        carried.turn(facts)
    assert again.commands == rig.venue.commands
    folded = AccountState()
    fold(folded, None, rig.bot.journal.events, {case.symbol: rig.bot.instrument})
    assert durable(folded) == durable(rig.bot.state)
    assert books_of_bot(rig.bot.market) == books_of_exchange(rig.exchange, "paper", rig.bot.instrument)
    assert rig.exchange.accounts["paper"].fills, "a tape without a fill compares too little"
