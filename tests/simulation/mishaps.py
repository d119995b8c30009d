"""What goes wrong, act by act: each name of a plan's `name:detail` is one function of a life. `plan.FAULTS` says which fault is which act."""

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec
from tests.simulation.day import wake_up
from tests.simulation.exchange import REST, STREAM

from lemon_trader.core.events import UserCommand
from lemon_trader.core.units import ATOMS_PER_UNIT, BUY, US_PER_S
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.orders import NewOrder, OrderState, Refused
from lemon_trader.sandbox.app import Response
from lemon_trader.sandbox.faults import Fault, Kind

if TYPE_CHECKING:
    from tests.simulation.life import Life

POST_PATHS: Final = ("/api/v1/order", "/api/v1/orders")
HISTORIES: Final = ("/wapi/v1/history/orders", "/wapi/v1/history/fills")
SLOW_US: Final = 150_000
CATALOGUE_US: Final = 310 * US_PER_S  # of awake time: as seldom is the list of markets read, when nothing is refused
JSON: Final = (("Content-Type", "application/json; charset=utf-8"),)
HTML: Final = b"<html><head><title>502 Bad Gateway</title></head><body><script>alert(1)</script></body></html>"
REFUSALS: Final = {
    "INVALID_PRICE": (400, 5), "INSUFFICIENT_FUNDS": (400, 4), "POST_ONLY_TAKER": (400, 3), "UNAUTHORIZED": (401, 3),
}  # fmt: skip
NASTY: Final = {
    "numbers": [
        '{"stream":"bookTicker.%s","data":{"e":"bookTicker","s":"%s","b":"NaN","B":"1e308","a":"1E+1000000","A":"-5","u":"x","E":1,"T":1}}',
        '{"stream":"trade.%s","data":{"e":"trade","s":"%s","p":"' + "9" * 5_000 + '","q":" 1","t":-1,"m":"maybe","E":1e400,"T":1}}',
        '{"stream":"depth.%s","data":{"e":"depth","s":"%s","a":[["Infinity","1"]],"b":[[1,2,3],null,"0"],"U":"1","u":null,"E":1,"T":1}}',
    ],
    "bytes": [
        "[" * 3_000 + "%.0s%.0s",
        '{"stream":"depth.%s","data":{"e":"depth","e":"depth","s":"%s"' + " " * 50_000 + "}}",
        "\x00\x01%.0s%.0s",
    ],
    "words": [
        '{"stream":"account.orderUpdate","data":{"e":"orderDancing","s":"%.0s%s","i":"77","X":"Waltzing","c":null,"E":1,"T":1}}',
        '{"stream":"account.orderUpdate","data":{"e":"orderFill","s":null,"i":null,"t":null}}%.0s%.0s',
        '{"stream":"newThing.%s","data":{"e":"newThing","s":"%s","x":{"y":[]}}}',
        '{"stream":"markPrice.%s","data":{"e":"markPrice","s":"%s"}}',
    ],
}
TICKS: Final = {
    "zero": ("0", "0"),
    "negative": ("-1", "-2"),
    "tenfold": ("1500.00", "1500.01"),
    "tenth": ("15.00", "15.01"),
    "crossed": ("160", "140"),
}


async def act(life: "Life", text: str) -> None:
    """Do one act of a plan."""
    name, _, rest = text.partition(":")
    waits = ACTS[name](life, rest)
    if waits is not None:
        await waits


# ---- between the program and the exchange ----


def _odds(life: "Life", rest: str) -> None:
    kind, ppm = rest.split("=")
    life.faults._odds[Kind(kind)] = int(ppm)


def _calm(life: "Life", _: str) -> None:
    life.faults._odds.clear()


def _held(life: "Life", us: str) -> None:
    life.edge.held_us = int(us)


def _overtaken(life: "Life", us: str) -> None:
    life.faults.order(Fault(Kind.EXECUTE_LATE, "POST", delay_us=int(us)))


def _double(life: "Life", which: str) -> None:
    life.edge.doubles, life.edge.second_answer = 1, which == "second"


def _batch(life: "Life", _: str) -> None:
    life.faults.order(Fault(Kind.LOSE_REPLY, "POST", "/api/v1/orders", 2))


def _filled_unheard(life: "Life", _: str) -> None:
    life.faults.order(Fault(Kind.LOSE_REPLY, "POST"))
    life.fills_next = True


def _hidden(life: "Life", _: str) -> None:
    """An order is filled at once, and neither its answer nor the stream nor the histories say so for a while."""
    life.faults.history_lag_us = 30 * US_PER_S
    life.faults.silence("account", life.edge.clock() + 40 * US_PER_S)
    _filled_unheard(life, "")


def _shown(life: "Life", _: str) -> None:
    life.faults.history_lag_us = 0


def _storm(life: "Life", _: str) -> None:
    """Half of all requests fail in one way or another, and the stream is silent."""
    for kind, ppm in ((Kind.LOSE_REPLY, 200_000), (Kind.ERROR_BEFORE, 200_000), (Kind.ERROR_AFTER, 100_000)):
        life.faults._odds[kind] = ppm
    life.faults.silence("account", life.edge.clock() + 30 * US_PER_S)


def _unheard_cancels(life: "Life", _: str) -> None:
    life.faults.order(Fault(Kind.LOSE_REPLY, "DELETE", times=2))


def _refuse(life: "Life", code: str) -> None:
    status, times = REFUSALS[code]
    body = json.dumps({"code": code, "message": "a drawn refusal"})
    life.faults.order(Fault(Kind.ERROR_BEFORE, "POST", times=times, status=status, body=body))


def _throttle(life: "Life", times: str) -> None:
    body = '{"code":"TOO_MANY_REQUESTS","message":"Rate limit exceeded"}'
    life.faults.order(Fault(Kind.ERROR_BEFORE, times=int(times), status=429, body=body))


def _race(life: "Life", times: str) -> None:
    """The next cancels find their orders filled."""
    left = int(times)

    def meddle(method: str, path: str, body: bytes) -> Response | None:
        nonlocal left
        if method == "DELETE" and path == "/api/v1/order" and left:
            left -= 1
            asked = json.loads(body)
            for order in life.ours():
                if str(order.order_id) == str(asked.get("orderId")) or order.client_id == asked.get("clientId"):
                    life.exchange.trade_with(life.account.name, order.order_id, order.open_lots, life.edge.clock())
        return None

    life.edge.before = [meddle] if left else []


def _answer(life: "Life", how: str) -> None:
    """Answers that are none: a proxy's page with status 200, empty histories."""

    def html(method: str, path: str, answer: Response) -> Response:
        return msgspec.structs.replace(answer, status=200, body=HTML) if life.chance.random() < 0.3 else answer

    def empty(method: str, path: str, answer: Response) -> Response:
        gone = method == "GET" and (path in HISTORIES or path == "/api/v1/orders") and answer.status == 200
        return msgspec.structs.replace(answer, body=b"[]") if gone else answer

    def status(method: str, path: str, answer: Response) -> Response:
        said = method == "POST" and path in POST_PATHS and answer.status == 200 and life.chance.random() < 0.3
        return msgspec.structs.replace(answer, body=answer.body.replace(b'"status":"New"', b'"status":"Waltzing"')) if said else answer

    life.edge.after = {"html": [html], "empty": [empty], "status": [status], "": []}[how]


def _time(life: "Life", seconds: str) -> None:
    """The exchange's clock is asked and answers nonsense."""
    off = int(seconds)

    def wrong(method: str, path: str, answer: Response) -> Response:
        if path != "/api/v1/time" or answer.status != 200:
            return answer
        return msgspec.structs.replace(answer, body=str(life.edge.clock() // 1_000 + off * 1_000).encode(), delay_us=4 * US_PER_S)

    life.edge.after = [wrong] if off else []


def _frames(life: "Life", how: str) -> None:
    """Frames of the account come twice, or in pairs the wrong way round."""
    kept: list[bytes] = []

    def twist(payload: bytes) -> list[bytes]:
        if b'"account.' not in payload[:40]:
            return [payload]
        if how == "repeat":
            return [payload, payload]
        kept.append(payload)
        if len(kept) < 2:
            return []
        pair = kept[::-1]
        kept.clear()
        return pair

    life.edge.frames = [twist] if how else []


def _say(life: "Life", what: str) -> None:
    for text in NASTY[what]:
        life.edge.say((text % (life.drawn.symbol, life.drawn.symbol)).encode())
    if what == "bytes":
        life.edge.say(b'{"stream":"depth.\xff\xfe","data":{}}')


def _tick(life: "Life", how: str) -> None:
    symbol, (bid, ask) = life.drawn.symbol, TICKS[how]
    touch = {"e": "bookTicker", "s": symbol, "b": bid, "B": "1", "a": ask, "A": "1", "u": 1, "E": life.edge.clock(), "T": life.edge.clock()}
    life.edge.say(json.dumps({"stream": f"bookTicker.{symbol}", "data": touch}).encode())
    if symbol.endswith("_PERP"):
        mark = {"e": "markPrice", "s": symbol, "p": bid, "i": ask, "f": "0", "n": 0, "E": life.edge.clock(), "T": life.edge.clock()}
        life.edge.say(json.dumps({"stream": f"markPrice.{symbol}", "data": mark}).encode())


def _cut(life: "Life", _: str) -> None:
    life.edge.cut_all()


def _leave(life: "Life", _: str) -> None:
    life.edge.end_streams()


def _down(life: "Life", _: str) -> None:
    assert life.env is not None
    life.edge.down = True
    life.edge.cut_all()
    life.env.refused |= {REST, STREAM}


def _up(life: "Life", _: str) -> None:
    assert life.env is not None
    life.edge.down = False
    life.env.refused.clear()


# ---- the exchange ----


def _lag(life: "Life", us: str) -> None:
    life.faults.history_lag_us = int(us)


def _nameless(life: "Life", rest: str) -> None:
    life.faults.omit_trade_ids = rest == "on"


def _silence(life: "Life", prefix: str) -> None:
    life.faults.silence(prefix, life.edge.clock() + 20 * US_PER_S)


def _drop(life: "Life", prefix: str) -> None:
    life.faults.drop(prefix, 3)


def _maintenance(life: "Life", rest: str) -> None:
    life.faults.maintenance = rest == "on"


def _state(life: "Life", word: str) -> None:
    life.exchange.set_book_state(life.drawn.symbol, word, life.edge.clock())


def _filters(life: "Life", rest: str) -> None:
    tick, lot = rest.split(",")
    life.watch.catch_up()  # what was filled is counted in the grid of before
    i = life.instrument
    life.coarse = Decimal(max(1, i.min_lots) * i.lot_atoms) / ATOMS_PER_UNIT
    life.coarse_until_us = life.loop.now_us + CATALOGUE_US
    life.edge.world.app.change_filters(life.drawn.symbol, life.edge.clock(), tick=tick, lot=lot)


def _deposit(life: "Life", _: str) -> None:
    life.exchange.deposit(life.account.name, "USDC", 250 * 10**9, life.edge.clock())


def _ruin(life: "Life", _: str) -> None:
    life.ruin()


def _mend(life: "Life", _: str) -> None:
    life.exchange.accounts[life.account.name].add("USDC", life.ruined)
    life.ruined = 0
    life.command("resume")


# ---- other people ----


def _nibble(life: "Life", _: str) -> None:
    """Somebody trades two lots with an order of ours, one at a time in one instant."""
    order = next((o for o in life.ours() if o.open_lots > 3), None)
    if order is not None:
        for _ in range(2):
            life.exchange.trade_with(life.account.name, order.order_id, 1, life.edge.clock())


def _visit(life: "Life", _: str) -> None:
    """Somebody trades with the order of ours that is nearest to the touch: the whole of it, or half."""
    if life.edge.down:
        return
    bid, _lots, ask, _ = life.exchange.touch(life.drawn.symbol)
    ours = sorted(life.ours(), key=lambda o: abs(o.ticks - (bid if o.side == BUY else ask)))
    if ours:
        order = ours[0]
        whole = order.open_lots < 2 or life.chance.random() < 0.6
        lots = order.open_lots if whole else order.open_lots // 2
        life.exchange.trade_with(life.account.name, order.order_id, lots, life.edge.clock())


def _hand(life: "Life", what: str) -> None:
    """The person whose account it is does something at the exchange's own page."""
    now, symbol, name = life.edge.clock(), life.drawn.symbol, life.account.name
    if what == "cancel":
        for order in life.ours()[:1]:
            life.exchange.cancel(name, symbol, now, order_id=order.order_id)
    elif what == "order":
        bid = life.exchange.touch(symbol)[0]
        far = bid * 7 // 10
        try:
            life.hand = life.exchange.place(name, NewOrder(symbol=symbol, side=BUY, lots=10, ticks=far - far % 10), now).order_id
        except Refused as refused:
            life.out.notes.append(f"an order by hand was refused: {refused}")
    elif life.hand in life.exchange.accounts[name].live:
        life.exchange.cancel(name, symbol, now, order_id=life.hand)


def _command(life: "Life", action: str) -> None:
    life.command(action)


def _pair(life: "Life", _: str) -> None:
    if life.session is not None:
        life.watch.authority.given["stop"] += 2  # the pair's, and the run's own when no pair is left
        life.session.engine.turn([UserCommand(life.edge.clock(), "stop", life.drawn.symbol, "duration")])


# ---- machine and disk ----


def _kill(life: "Life", _: str) -> None:
    life.killed(power=False)


def _power(life: "Life", _: str) -> None:
    life.killed(power=True)


async def _kills(life: "Life", times: str) -> None:
    """Killed again while it recovers."""
    for _ in range(int(times)):
        life.killed(power=False, within_us=US_PER_S)
        await life._pass(life.chance.randint(100_000, 3 * US_PER_S))


async def _restart(life: "Life", _: str) -> None:
    await life.restart(30 * US_PER_S)


def _errand(life: "Life", action: str) -> None:
    life.stop_birth()
    life.die(power=False)
    life.birth = life.loop.create_task(life._errand_and_be_born(action, life.chance.randint(0, 5 * US_PER_S)))


def _wall(life: "Life", us: str) -> None:
    assert life.env is not None
    life.env.wall_skew_us += int(us)


def _disk(life: "Life", how: str) -> None:
    for disk in life.disks.values():
        disk.free_bytes = 0 if how == "full" else None
        disk.fail = lambda _act, _name: None
        if how == "slow":

            def slow(what: str, _name: str) -> OSError | None:
                if what in {"sync", "append"} and life.chance.random() < 0.2:
                    life.loop.now_us += SLOW_US  # the whole process waits for the disk
                return None

            disk.fail = slow


async def _night(life: "Life", rest: str) -> None:
    """Hours pass in which nothing happens here: the machine sleeps, or the program does not run. The exchange lives on."""
    us, how = rest.split(":")
    if how == "cut":
        life.edge.cut_all()
    elif how == "stop":
        await life.restart(3 * US_PER_S)
    elif how == "kill":
        life.killed(power=False, within_us=3 * US_PER_S)
    wake_up(life, int(us))


ACTS: Final[dict[str, Callable[["Life", str], Awaitable[None] | None]]] = {
    "odds": _odds, "calm": _calm, "held": _held, "overtaken": _overtaken, "double": _double, "batch": _batch, "filled-unheard": _filled_unheard, "hidden": _hidden, "shown": _shown, "storm": _storm,
    "unheard-cancels": _unheard_cancels, "refuse": _refuse, "throttle": _throttle, "race": _race, "answer": _answer, "time": _time,
    "frames": _frames, "say": _say, "tick": _tick, "cut": _cut, "leave": _leave, "down": _down, "up": _up, "lag": _lag, "nameless": _nameless,
    "silence": _silence, "drop": _drop, "maintenance": _maintenance, "state": _state, "filters": _filters, "deposit": _deposit, "ruin": _ruin,
    "mend": _mend, "nibble": _nibble, "visit": _visit, "hand": _hand, "command": _command, "pair": _pair, "kill": _kill, "power": _power,
    "kills": _kills, "restart": _restart, "errand": _errand, "wall": _wall, "disk": _disk, "night": _night,
}  # fmt: skip


def take(exchange: Exchange, order: OrderState, lots: int, now_us: int) -> None:
    """Let the outside world trade with a resting order until `lots` of it are filled; what stands before it goes first."""
    before = order.executed_lots
    while order.executed_lots - before < lots:
        bid, bid_lots, ask, ask_lots = exchange.touch(order.symbol)
        best, there = (bid, bid_lots) if order.side == BUY else (ask, ask_lots)
        left = lots - (order.executed_lots - before)
        if not exchange.outside_take(order.symbol, -order.side, left if best == order.ticks else there, order.ticks, now_us):
            return


__all__ = ["ACTS", "act", "take"]
