"""The ladder in NautilusTrader's backtest engine: `python benchmarks/peers/nautilus.py FOLDER`, with the folder that `ours.py` made.

Its strategy hears of each fill at once and moves the exits then. Making its bar objects is not timed; its log is off.
"""

import sys
from decimal import Decimal

import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import SOL, USDC
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy
from shared import Ladder, read, report

VENUE = Venue("SIM")


class Martingale(Strategy):
    """Begin at the close of a bar in which nothing is held, move both exits when what is held has changed."""

    def __init__(self, ladder: Ladder, instrument: CurrencyPair, kind: BarType) -> None:
        super().__init__()
        self.ladder, self.instrument, self.kind = ladder, instrument, kind
        self.held, self.cost, self.fills = 0, 0.0, 0  # lots, quote
        self.exits: list[object] = []

    def on_start(self) -> None:
        self.subscribe_bars(self.kind)

    def quantity(self, lots: int) -> Quantity:
        return self.instrument.make_qty(lots * self.ladder.lot)

    def on_bar(self, bar) -> None:
        if self.held:
            return
        self.cancel_all_orders(self.instrument.id)
        anchor = float(bar.close)
        lots, prices = self.ladder.lots(anchor), self.ladder.prices(anchor)
        make, price, buy = self.order_factory, self.instrument.make_price, OrderSide.BUY
        self.submit_order(make.market(self.instrument.id, buy, self.quantity(lots[0])))
        for size, at in zip(lots[1:], prices[1:], strict=True):
            self.submit_order(make.limit(self.instrument.id, buy, self.quantity(size), price(at)))

    def on_order_filled(self, event) -> None:
        self.fills += 1
        lots = round(float(event.last_qty) / self.ladder.lot)
        if event.order_side == OrderSide.BUY:
            self.held += lots
            self.cost += lots * float(event.last_px)
        else:
            self.cost *= 1 - lots / self.held
            self.held -= lots
            if self.held:
                return  # a part of an exit: the rest of it goes on
        for order in self.exits:
            if not order.is_closed:
                self.cancel_order(order)
        self.exits = []
        if not self.held:
            self.cost = 0.0
            return
        profit, stop = self.ladder.exits(self.cost / self.held)
        make, price, sell = self.order_factory, self.instrument.make_price, OrderSide.SELL
        self.exits = [
            make.limit(self.instrument.id, sell, self.quantity(self.held), price(profit)),
            make.stop_market(self.instrument.id, sell, self.quantity(self.held), price(stop)),
        ]
        for order in self.exits:
            self.submit_order(order)


def main() -> None:
    data, ladder = read(sys.argv[1])
    fee = Decimal(str(ladder.fee))
    instrument = CurrencyPair(
        instrument_id=InstrumentId(Symbol("SOLUSDC"), VENUE), raw_symbol=Symbol("SOLUSDC"), base_currency=SOL, quote_currency=USDC,
        price_precision=2, size_precision=2, price_increment=Price(ladder.tick, 2), size_increment=Quantity(ladder.lot, 2),
        margin_init=Decimal(0), margin_maint=Decimal(0), maker_fee=fee, taker_fee=fee, ts_event=0, ts_init=0,
    )  # fmt: skip
    kind = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
    frame = pd.DataFrame(
        {name: data[name].round(2) for name in ("open", "high", "low", "close", "volume")},
        index=pd.DatetimeIndex(pd.to_datetime(data["at_us"], unit="us", utc=True), name="timestamp"),
    )
    bars = BarDataWrangler(kind, instrument).process(frame)
    cash = ladder.budget * 10

    def run() -> tuple[int, float]:
        engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
        engine.add_venue(
            VENUE, OmsType.NETTING, AccountType.MARGIN, base_currency=USDC, starting_balances=[Money(cash, USDC)], bar_execution=True
        )  # fmt: skip
        engine.add_instrument(instrument)
        engine.add_data(bars)
        player = Martingale(ladder, instrument, kind)
        engine.add_strategy(player)
        engine.run()
        account = engine.cache.account_for_venue(VENUE)
        held = player.held * ladder.lot * float(data["close"][-1]) - player.cost * ladder.lot
        net = float(account.balance_total(USDC)) + held - cash
        fills = player.fills
        engine.dispose()
        return fills, net

    report(len(bars), run)


if __name__ == "__main__":
    main()
