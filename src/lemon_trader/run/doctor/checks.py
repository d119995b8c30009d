"""The open points about the exchange, each as a check on the user's own account: what does it answer, and can the program live with it?

Ten points could not be established from documents (client ids, histories, triggers, cancels). The program assumes the worst wherever it
can; a check passes when the exchange gives the answer that the rest of it relies on, and keeps what it saw as findings.
"""

from typing import Any, Final

from lemon_trader.core.events import NO_TRADE_ID, Event, PlaceAccepted, PlaceRefused
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.state import HIST_LAG_US
from lemon_trader.core.units import POST_ONLY, SELL, US_PER_MS, US_PER_S
from lemon_trader.exchanges.dialect import EXPIRED
from lemon_trader.exchanges.signers import SigningError
from lemon_trader.run.doctor.bench import Bench, Check, CheckFailed
from lemon_trader.run.doctor.record import NAMES
from lemon_trader.run.doctor.triggers import trigger_events, triggers

Outcome = tuple[str, dict[str, object], dict[str, Any]]

ID_EXISTS: Final = "CLIENT_ID_EXISTS"
LAG_LIMIT_US: Final = 3 * HIST_LAG_US  # looked for this long, so that a failure says how slow the history is
READS: Final = 35  # five more than candles may be asked for in a minute
LATE_MS: Final = 60_000
ROUNDS: Final = 5


async def client_ids(bench: Bench) -> Outcome:
    """A living order's client id is refused a second time; what becomes of the id afterwards, and in another market."""
    m = _any(bench)
    first = await bench.rest(m)
    ticks = await bench.resting_ticks(m)
    twin = await bench.place(m, POST_ONLY, ticks=ticks, client_id=first.client_id)
    findings: dict[str, Any] = {"while_it_lives": twin.said}
    if isinstance(twin.fact, PlaceAccepted):
        raise CheckFailed("checks.client-ids.twice", findings)
    if not isinstance(twin.fact, PlaceRefused) or twin.fact.code != ID_EXISTS:
        raise CheckFailed("checks.client-ids.strange", findings, said=twin.said)
    other = bench.spot if m is bench.perp else bench.perp
    if other is not None:
        elsewhere = await bench.place(other, POST_ONLY, ticks=await bench.resting_ticks(other), client_id=first.client_id)
        findings["in_another_market"] = _verdict(elsewhere.fact)
        if isinstance(elsewhere.fact, PlaceAccepted):
            await bench.end(other.symbol, first.client_id)
    await bench.end(m.symbol, first.client_id)
    again = await bench.place(m, POST_ONLY, ticks=ticks, client_id=first.client_id)
    findings["after_its_cancel"] = _verdict(again.fact)
    return "checks.client-ids.passed", {"after": findings["after_its_cancel"]}, findings


async def not_found(bench: Bench) -> Outcome:
    """An id that nobody ever used is definitely not found, and an order that was acknowledged never is."""
    m = _any(bench)
    stranger = await bench.cancel(m.symbol, bench.new_id())
    findings: dict[str, Any] = {"unknown_id": f"{stranger.outcome} {stranger.reason}".strip()}
    if stranger.outcome != "not_found":
        raise CheckFailed("checks.not-found.strange", findings, said=findings["unknown_id"])
    seen = []
    for _ in range(ROUNDS):
        placed = await bench.rest(m)
        seen.append((await bench.end(m.symbol, placed.client_id)).outcome)
    findings["acknowledged"] = seen
    if "not_found" in seen:
        raise CheckFailed("checks.not-found.denied", findings, count=seen.count("not_found"), rounds=ROUNDS)
    return "checks.not-found.passed", {}, findings


async def history_lag(bench: Bench) -> Outcome:
    """How long an ended order and a fill take to stand in their histories; the program waits five seconds before it believes absence."""
    m = _perp(bench)
    placed = await bench.rest(m)
    await bench.end(m.symbol, placed.client_id)
    order_us = await _lag_us(bench, m, order_id=placed.order_id, fills=False)
    bought = await bench.buy(m)
    fill_us = await _lag_us(bench, m, order_id=bought.order_id, fills=True)
    worst_ms = max(order_us, fill_us) // US_PER_MS
    findings: dict[str, Any] = {"order_ms": order_us // US_PER_MS, "fill_ms": fill_us // US_PER_MS}
    if worst_ms > HIST_LAG_US // US_PER_MS:
        raise CheckFailed("checks.history-lag.slow", findings, ms=worst_ms, limit=HIST_LAG_US // US_PER_MS)
    return "checks.history-lag.passed", {"ms": worst_ms, "limit": HIST_LAG_US // US_PER_MS}, findings


async def history_limit(bench: Bench) -> Outcome:
    """The account's own histories may be read more often than thirty times a minute."""
    m = _any(bench)
    begun_us = bench.reach.env.now_us()
    for number in range(1, READS + 1):
        reply = await bench.raw("order_history", symbol=m.symbol, limit="1")
        findings: dict[str, Any] = {"reads": number, "ms": (bench.reach.env.now_us() - begun_us) // US_PER_MS, "status": reply.status}
        if reply.status == 429:
            raise CheckFailed("checks.history-limit.tight", findings, reads=number)
        if reply.status != 200:
            raise CheckFailed("checks.unfinished", findings, reason=f"HTTP {reply.status}")
    return "checks.history-limit.passed", {"reads": READS}, findings


async def expired(bench: Bench) -> Outcome:
    """An order signed a minute ago is refused, and in words by which the program knows that its clock is wrong."""
    m = _any(bench)
    placed = await bench.place(m, POST_ONLY, ticks=await bench.resting_ticks(m), late_ms=LATE_MS)
    findings: dict[str, Any] = {"answer": placed.said}
    if isinstance(placed.fact, PlaceAccepted):
        raise CheckFailed("checks.expired.taken", findings)
    if not isinstance(placed.fact, PlaceRefused) or placed.fact.code != EXPIRED:
        raise CheckFailed("checks.expired.strange", findings, said=placed.said)
    return "checks.expired.passed", {}, findings


async def cancels(bench: Bench) -> Outcome:
    """Every cancel is followed by a proven end, also where the exchange first says only that it has taken it."""
    m = _any(bench)
    for _ in range(ROUNDS):
        placed = await bench.rest(m)
        await bench.end(m.symbol, placed.client_id)
    slowest_ms = max(us for _, us in bench.cancels) // US_PER_MS
    accepted = sum(outcome == "accepted" for outcome, _ in bench.cancels)
    findings: dict[str, Any] = {"outcomes": [outcome for outcome, _ in bench.cancels], "slowest_ms": slowest_ms}
    return "checks.cancels.passed", {"count": len(bench.cancels), "accepted": accepted, "ms": slowest_ms}, findings


async def trade_ids(bench: Bench) -> Outcome:
    """Every fill has a trade id, and no two fills of an order share one."""
    m = _perp(bench)
    bought = await bench.buy(m)
    orders = {bought.order_id, (await bench.take(m, SELL, m.min_lots)).order_id}
    limit_us = bench.reach.env.now_us() + LAG_LIMIT_US
    while True:
        rows = [fill for fill in await bench.fills(m.symbol) if fill.order_id in orders]
        if {fill.order_id for fill in rows} == orders:
            break
        if bench.reach.env.now_us() > limit_us:
            raise CheckFailed("checks.history-lag.slow", ms=LAG_LIMIT_US // US_PER_MS, limit=HIST_LAG_US // US_PER_MS)
        await bench.reach.env.sleep(US_PER_S // 4)
    keys = [(fill.order_id, fill.trade_id) for fill in rows]
    findings: dict[str, Any] = {"fills": [f"order {order}, trade {trade}" for order, trade in keys]}
    if any(trade == NO_TRADE_ID for _, trade in keys):
        raise CheckFailed("checks.trade-ids.missing", findings)
    if len(set(keys)) != len(keys):
        raise CheckFailed("checks.trade-ids.shared", findings)
    findings["unique_in_market"] = len({trade for _, trade in keys}) == len(keys)
    reused = await bench.place(m, POST_ONLY, ticks=await bench.resting_ticks(m), client_id=bought.client_id)
    findings["client_id_after_its_fill"] = _verdict(reused.fact)
    return "checks.trade-ids.passed", {"count": len(keys)}, findings


async def cancel_all(bench: Bench) -> Outcome:
    """What the request that cancels everything does to triggers is not tried: this program's signer refuses to sign it."""
    try:
        bench.signer.sign(b"instruction=orderCancelAll&symbol=SOL_USDC&timestamp=1&window=5000")
    except SigningError as error:
        return "checks.cancel-all.passed", {}, {"signer": str(error)}
    raise CheckFailed("checks.cancel-all.signed")


CHECKS: Final = (
    Check("client-ids", "checks.client-ids.about", True, client_ids),
    Check("not-found", "checks.not-found.about", True, not_found),
    Check("history-lag", "checks.history-lag.about", True, history_lag),
    Check("history-limit", "checks.history-limit.about", False, history_limit),
    Check("triggers", "checks.triggers.about", True, triggers),
    Check("expired", "checks.expired.about", True, expired),
    Check("trigger-events", "checks.trigger-events.about", True, trigger_events),
    Check("cancels", "checks.cancels.about", True, cancels),
    Check("trade-ids", "checks.trade-ids.about", True, trade_ids),
    Check("cancel-all", "checks.cancel-all.about", False, cancel_all),
)
assert tuple(check.name for check in CHECKS) == NAMES


def _any(bench: Bench) -> Instrument:
    """A market for orders that only rest: spot where there is one. Raises CheckFailed."""
    m = bench.spot or bench.perp
    if m is None:
        raise CheckFailed("checks.no-market")
    return m


def _perp(bench: Bench) -> Instrument:
    """The perpetual: what is bought there can be sold to the last lot, on spot the fee would leave dust. Raises CheckFailed."""
    if bench.perp is None:
        raise CheckFailed("checks.no-perp")
    return bench.perp


def _verdict(fact: Event) -> str:
    match fact:
        case PlaceAccepted():
            return "accepted"
        case PlaceRefused(code=code):
            return f"refused: {code}"
    return "no clear answer"


async def _lag_us(bench: Bench, m: Instrument, *, order_id: str, fills: bool) -> int:
    """How long from now until the order stands in its history, µs; the limit when it never did."""
    env = bench.reach.env
    begun_us = env.now_us()
    while env.now_us() - begun_us < LAG_LIMIT_US:
        if fills:
            found = any(fill.order_id == order_id for fill in await bench.fills(m.symbol))
        else:
            found = any(row.order_id == order_id and row.status != "working" for row in await bench.history(m.symbol))
        if found:
            return env.now_us() - begun_us
        await env.sleep(US_PER_S // 4)
    return LAG_LIMIT_US
