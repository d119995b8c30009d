"""A panel on a screen that nobody sees, its world a fake desk, its engine a real control channel with a picture of the test's own."""

import copy
from contextlib import asynccontextmanager

from lemon_trader import __version__
from lemon_trader.cli.declared import declarations
from lemon_trader.engine.control import ControlServer
from lemon_trader.env_live import FolderStore
from lemon_trader.messages.catalogue import speak
from lemon_trader.panel.app import Panel
from lemon_trader.panel.desk import Said
from lemon_trader.panel.settings import PanelSettings
from lemon_trader.run.panel import check_values

SMALL, LARGE = (80, 24), (200, 60)
START_US = 1_767_225_600_000_000


def order(side, price, role="QUOTE", state="WORKING", reason="KEPT", open_="0.5", figure=0):
    return {
        "client_id": 1, "order_id": "1", "role": role, "kind": "POST_ONLY", "side": side, "state": state, "price": price,
        "open": open_, "filled": "0", "reason": reason, "figure": figure,
    }  # fmt: skip


def want(side, price, role="QUOTE", reason="KEPT", figure=0):
    return {"slot": 0, "role": role, "side": side, "price": price, "total": "0.5", "reason": reason, "figure": figure}


def fill(at_us, side, price, quantity="0.5", maker=True):
    return {
        "at_us": at_us, "side": side, "role": "QUOTE", "price": price, "quantity": quantity, "maker": maker, "fee": "0.01",
        "fee_asset": "USDC",
    }  # fmt: skip


BUYS, SELLS = ("149.9", "149.85", "149.8"), ("150.1", "150.15", "150.2")

MARKET = {
    "symbol": "SOL_USDC", "strategy": "market-maker", "budget": "400", "fresh": True, "may_open": True, "frozen": "",
    "bid": "149.99", "ask": "150.01", "last": "150", "mark": None, "position": "1.25", "sellable": "1.25", "average": "148.5",
    "cost": "185.625", "realised": "2.5", "unrealised": "1.875", "fees": "0.4", "funding": "0", "net": "3.975", "cash": "-183.525",
    "volatility_pct": "0.01",
    "orders": [*(order("SELL", p) for p in SELLS), *(order("BUY", p) for p in BUYS)],
    "wants": [*(want("SELL", p) for p in SELLS), *(want("BUY", p) for p in BUYS)],
    "withheld": [], "foreign_orders": 0, "strategy_state": {}, "waiting": "", "base": "SOL", "quote": "USDC",
    "take_profit": "151.5", "to_take_profit_pct": "1", "stop": "138", "to_stop_pct": "8",
    "limits": {"orders": 6, "orders_max": 40, "position": "187.5", "position_max": None, "resting_buys": "224.7", "resting_sells": "225.2"},
    "session": {"net": "3.975", "bought": "2", "sold": "0.75", "maker_buy": "2", "maker_sell": "0.5"},
    "fills": [fill(START_US - 3_000_000, "SELL", "150.05"), fill(START_US - 9_000_000, "BUY", "149.95", maker=False)],
}  # fmt: skip

PICTURE = {
    "version": __version__, "as_of_us": START_US, "mode": "sandbox", "state": "ACTIVE", "reason": "", "detail": "", "net": "3.975",
    "public_up": True, "private_up": True, "feed_age_us": 120_000, "account_age_us": 4_000_000, "venue_status": "Ok", "turns": 9, "sent": 6,
    "journal": "written", "bad_facts": 0, "alerts": [],
    "risk": {"day_loss": "0", "day_loss_max": "40", "drawdown": "1.5", "drawdown_max": "80"}, "rate": {"left": 148, "most": 150},
    "balances": {"USDC": {"available": "5000", "locked": "224.7"}}, "markets": [MARKET],
}  # fmt: skip


def picture(**changed):
    """A picture of an engine that quotes; what is given is otherwise: of the market where it is the market's, else of the engine."""
    made = copy.deepcopy(PICTURE)
    for name, value in changed.items():
        (made["markets"][0] if name in MARKET and name != "net" else made)[name] = value
    return made


class Launched:
    """A start that a test decides the end of."""

    def __init__(self, code=None, text=""):
        self.code, self.text = code, text

    def ended(self):
        return self.code

    def said(self):
        return self.text


class FakeDesk:
    """Remembers what it was asked for."""

    def __init__(self, place, asked="sandbox"):
        self.modes = ("live", "paper", "sandbox")
        self.asked = asked
        self.environment = {}
        self.commands, self.launches = [], []
        self.says = Said(0, "what the command printed\nin two lines\n")
        self.launched = Launched()
        self._place = place

    def store(self, mode):
        return FolderStore(self._place / mode)

    async def command(self, name, mode, words=()):
        self.commands.append((name, mode, list(words)))
        return self.says

    def launch(self, mode, words):
        self.launches.append((mode, list(words)))
        return self.launched

    async def symbols(self, mode):
        return ["BTC_USDC", "ETH_USDC", "SOL_USDC", "SOL_USDC_PERP"]


class Opened:
    """A panel under test: its screen as text, its keys, and what its engine was told."""

    def __init__(self, app, pilot, desk, server, told, shown):
        self.app, self.pilot, self.desk, self.server, self.told, self.shown = app, pilot, desk, server, told, shown

    @property
    def log(self):
        return [text for _, text in self.app.scene.log]

    def text(self):
        """Every line of the screen, as it is drawn."""
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in self.app.screen._compositor.render_strips())

    async def type(self, text):
        """Open the command line, type, Enter, and wait until it is done or asks."""
        await self.pilot.press(":")
        await self.reply(text)

    async def reply(self, text):
        """Type into an open command line."""
        self.app.query_one("#command").value = text
        await self.pilot.press("enter")
        await self.settle()

    async def settle(self):
        """Let workers and drawing come to rest."""
        for _ in range(3_000):
            await self.pilot.pause(0.01)
            if not self.app._busy or self.app._waits is not None:
                break
        await self.pilot.pause()

    async def until(self, true):
        """Let the panel look again until `true()`."""
        for _ in range(3_000):
            if true():
                return
            self.app._tick()
            await self.pilot.pause(0.02)
        raise AssertionError(f"it never came; the screen says:\n{self.text()}")


def settings_in(place, **options):
    made = PanelSettings(FolderStore(place), declarations(), check_values, **options)
    made.load()
    return made


@asynccontextmanager
async def opened(
    place, *, size=SMALL, language="en", shown=None, desk=None, settings=None, alone=True, preview=(), edit=dict, mode="sandbox"
):
    """A panel over the engine that `shown` is a picture of; None = none runs."""
    speak(language)
    desk = desk or FakeDesk(place)
    told = []
    server = None
    holder = {"picture": shown}
    if shown is not None:

        def command(*words):
            told.append(words if words[-1] else words[:-1])
            return {"done": words[0]} | ({"symbol": words[-1]} if words[-1] else {})

        server = ControlServer(desk.store(mode), lambda: holder["picture"], command, lambda: list(preview), edit)
        await server.start()
    app = Panel(desk, settings or settings_in(place / "settings"), declarations(), alone=alone)
    try:
        async with app.run_test(size=size) as pilot:
            panel = Opened(app, pilot, desk, server, told, holder)
            if shown is not None:
                await panel.until(lambda: app.scene.is_running)
            await panel.settle()
            yield panel
    finally:
        if server is not None:
            await server.stop()
        speak("en")
