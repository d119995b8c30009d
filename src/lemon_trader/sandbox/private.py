"""Handlers of the private endpoints that act or tell the present: orders, cancels, balances, positions, the account."""

from collections.abc import Mapping
from typing import Any

from lemon_trader.core.instrument import NUMBER, Instrument, atoms_text
from lemon_trader.core.units import ATOMS_PER_UNIT, PPM
from lemon_trader.exchanges.backpack.server import Refusal, choice, parameter_error, required
from lemon_trader.exchanges.backpack.server_account import (
    CollateralLine,
    account_row,
    capital_body,
    collateral_body,
    order_row,
    position_row,
)
from lemon_trader.exchanges.backpack.server_orders import (
    ORDER_FIELDS,
    LegWords,
    OrderName,
    OrderWords,
    atoms_of,
    read_cancel_all,
    read_name,
    read_order,
    ticks_of,
)
from lemon_trader.exchanges.backpack.server_public import CHAINS
from lemon_trader.exchanges.backpack.words import (
    INVALID_CLIENT_REQUEST,
    MARKET_TYPES,
    RESOURCE_NOT_FOUND,
    SAYS_BAD_SYMBOL,
    SAYS_NOT_FOUND,
    SIDES,
)
from lemon_trader.matching.margin import weight_ppm
from lemon_trader.matching.orders import Attached, Leg, NewOrder, OrderState, OrderType, Refused, SelfTrade, TimeInForce, TriggerBy
from lemon_trader.sandbox.desk import Answer, Call, Desk

Json = dict[str, Any]


# ---- orders ----


def place(desk: Desk, call: Call) -> Json:
    """Place one order; immediate fills are in the answer."""
    words = _read(desk, call.params)
    return _row(desk, desk.exchange.place(call.account, _new(desk, words), call.now_us))


def place_many(desk: Desk, call: Call) -> list[Json]:
    """Place a batch: every order stands alone, but an array that cannot be read fails whole."""
    read: list[OrderWords | Refusal] = []
    for body in call.rows:
        try:
            read.append(_read(desk, body))
        except Refusal as refused:
            if not refused.code:
                raise
            read.append(refused)
    return [_place_row(desk, call, words) for words in read]


def cancel(desk: Desk, call: Call) -> Json:
    """Cancel one order."""
    name = read_name(call.params, desk.markets)
    ended = desk.exchange.cancel(call.account, name.symbol, call.now_us, order_id=_order_id(name), client_id=name.client_id)
    return _row(desk, ended)


def cancel_all(desk: Desk, call: Call) -> list[Json]:
    """Cancel the orders of one market."""
    symbol, kind = read_cancel_all(call.params, desk.markets)
    is_trigger = {"": None, "RestingLimitOrder": False, "ConditionalOrder": True}[kind]
    return [_row(desk, order) for order in desk.exchange.cancel_all(call.account, symbol, call.now_us, is_trigger=is_trigger)]


def open_order(desk: Desk, call: Call) -> Json:
    """One resting order; anything else is not found."""
    name = read_name(call.params, desk.markets)
    return _row(desk, desk.exchange.open_order(call.account, name.symbol, order_id=_order_id(name), client_id=name.client_id))


def open_orders(desk: Desk, call: Call) -> list[Json]:
    """Resting orders and pending triggers."""
    wanted = chosen_markets(desk, call)
    orders = desk.exchange.open_orders(call.account, call.query.get("symbol"))
    return [_row(desk, order) for order in orders if order.symbol in wanted]


def chosen_markets(desk: Desk, call: Call) -> Mapping[str, Instrument]:
    """The markets that `symbol` and `marketType` of the query leave. Raises Refusal when they name none."""
    symbol = call.query.get("symbol")
    kind = choice(call.query, "marketType", "MarketType", MARKET_TYPES)
    if symbol is not None and symbol not in desk.markets:
        raise Refusal(400, INVALID_CLIENT_REQUEST, SAYS_BAD_SYMBOL)
    return {
        name: of
        for name, of in desk.markets.items()
        if symbol in {None, name} and kind in {None, "PERP" if of.is_perp else "SPOT"}
    }  # fmt: skip


# ---- the account ----


def account(desk: Desk, call: Call) -> Json:
    """Fees, switches, and how many orders are open."""
    rules, orders = desk.exchange.rules, desk.exchange.open_orders(call.account)
    limits = {name: atoms for name in ("borrow_limit_atoms", "position_limit_atoms") if (atoms := getattr(rules, name))}
    triggers, owner = sum(order.is_trigger for order in orders), desk.exchange.accounts[call.account]
    return account_row(
        maker_taker_ppm=owner.fees_ppm,
        leverage_limit=_leverage(desk, call.account),
        limit_orders=len(orders) - triggers,
        trigger_orders=triggers,
        is_liquidating=owner.is_liquidating,
        auto_lend=owner.auto_lend,
        auto_borrow_settlements=owner.auto_borrow_settlements,
        auto_repay_borrows=owner.auto_repay_borrows,
        **limits,
    )


def change_account(desk: Desk, call: Call) -> Answer:
    """Change the account's switches: all that were sent, or none."""
    flags: dict[str, bool | None] = {}
    for name, flag in (
        ("autoBorrowSettlements", "auto_borrow_settlements"), ("autoLend", "auto_lend"), ("autoRepayBorrows", "auto_repay_borrows"),
    ):  # fmt: skip
        value = call.params.get(name)
        if value is not None and not isinstance(value, bool):
            raise Refusal(400, "", 'parse request payload error: failed to parse "boolean": Expected input type "boolean".')
        flags[flag] = value
    limit = call.params.get("leverageLimit")
    if limit is not None:
        if not isinstance(limit, str) or not NUMBER.match(limit):
            raise Refusal(400, "", 'parse request payload error: failed to parse "string(decimal)": Invalid decimal: unknown character')
        if not ATOMS_PER_UNIT <= atoms_of(limit) <= desk.switches.leverage_max * ATOMS_PER_UNIT:
            raise Refusal(400, "MAX_LEVERAGE_REACHED", f"leverageLimit must be between 1 and {desk.switches.leverage_max}")
        desk.leverage[call.account] = str(limit)
        desk.exchange.set_imf_floor(call.account, -(-PPM * ATOMS_PER_UNIT // atoms_of(limit)))
    desk.exchange.set_flags(call.account, call.now_us, **flags)
    return Answer()


def capital(desk: Desk, call: Call) -> Json:
    """Balances by asset."""
    held = desk.exchange.accounts[call.account]
    return capital_body((asset, held.available(asset), held.locked(asset)) for asset in held.assets)


def collateral(desk: Desk, call: Call) -> Json:
    """Margin, as the exchange behind reckons: quote assets whole, others at their weight, lent ones too."""
    held, margin = desk.exchange.accounts[call.account], desk.exchange.margin(call.account)
    quotes, loans = {of.quote for of in desk.markets.values()}, desk.exchange.rules.loans
    lines = [
        CollateralLine(
            asset, desk.exchange.worth_atoms(asset, ATOMS_PER_UNIT), held.total(asset), held.locked(asset),
            PPM if asset in quotes else weight_ppm(loans[asset], held.total(asset) + held.lent.get(asset, 0)) if asset in loans else 0,
            held.lent.get(asset, 0),
        )
        for asset in held.assets
    ]  # fmt: skip
    notional = margin.notional_atoms
    return collateral_body(
        lines,
        equity_atoms=margin.equity_atoms,
        unrealised_atoms=margin.unrealised_atoms,
        locked_atoms=margin.initial_atoms,
        exposure_atoms=notional,
        imf_ppm=margin.initial_atoms * PPM // notional if notional else 0,
        mmf_ppm=margin.maintenance_atoms * PPM // notional if notional else 0,
    )


def positions(desk: Desk, call: Call) -> list[Json]:
    """Open positions; one symbol without a position is not found. The liquidation price is told for one symbol only."""
    wanted, symbol = chosen_markets(desk, call), call.query.get("symbol")
    held = [p for name, p in desk.exchange.accounts[call.account].positions.items() if name in wanted and p.lots]
    if symbol is not None and not held:
        raise Refusal(404, RESOURCE_NOT_FOUND, SAYS_NOT_FOUND)
    return [
        position_row(
            p, wanted[p.symbol], desk.figures(call.account, p), desk.liquidation_ticks(call.account, p) if symbol is not None else 0
        )
        for p in held
    ]


def deposit_address(desk: Desk, call: Call) -> Json:
    """Where the account would take deposits: a text that says itself that nobody must send anything there."""
    chain = required(call.query, "blockchain", "Blockchain")
    if chain not in CHAINS:
        raise parameter_error("blockchain", "Blockchain", "Expect a valid enumeration value.")
    del desk
    return {"address": f"SANDBOX-SEND-NOTHING-HERE-{chain}-{call.account}"}


# ---- limits ----


def max_order(desk: Desk, call: Call) -> Json:
    """The largest order that the account could place now; the question is echoed."""
    symbol = required(call.query, "symbol", "MarketSymbol")
    required(call.query, "side", "Side")
    side = choice(call.query, "side", "Side", tuple(SIDES)) or ""
    of, price = desk.readers.get(symbol), call.query.get("price")
    if of is None:
        raise Refusal(400, INVALID_CLIENT_REQUEST, SAYS_BAD_SYMBOL)
    if price is not None and not NUMBER.match(price):
        raise Refusal(400, "", 'failed to parse parameter `price`: failed to parse "string(decimal)": Invalid decimal: unknown character')
    flags = {name: _query_flag(call, name) for name in ("autoBorrow", "autoBorrowRepay", "autoLendRedeem", "reduceOnly")}
    tick, lot = desk.steps(symbol)
    ticks = 0 if price is None else ticks_of(price, of) * tick
    lots = desk.exchange.max_order_lots(
        call.account, symbol, SIDES[side], ticks, reduce_only=bool(flags["reduceOnly"]), redeems=bool(flags["autoLendRedeem"]),
        borrows=bool(flags["autoBorrow"]),
    )  # fmt: skip
    return {"symbol": symbol, "side": side, "price": price, "maxOrderQuantity": of.qty_text(lots // lot), **flags}


def max_borrow(desk: Desk, call: Call) -> Json:
    """The largest debt that the pool and the account's margin allow now."""
    asset = required(call.query, "symbol")
    most = desk.exchange.lending.borrowable_atoms(desk.exchange.accounts[call.account], asset)
    return {"symbol": asset, "maxBorrowQuantity": atoms_text(most)}


def max_withdrawal(desk: Desk, call: Call) -> Json:
    """What margin leaves free of an asset; that it can be withdrawn is not said: a withdrawal is refused."""
    asset = required(call.query, "symbol")
    flags = {name: _query_flag(call, name) for name in ("autoBorrow", "autoLendRedeem")}
    most = desk.exchange.free_atoms(call.account, asset, redeems=bool(flags["autoLendRedeem"]))
    if flags["autoBorrow"]:
        most += desk.exchange.lending.borrowable_atoms(desk.exchange.accounts[call.account], asset)
    return {"symbol": asset, "maxWithdrawalQuantity": atoms_text(most), **flags}


def _query_flag(call: Call, name: str) -> bool | None:
    text = choice(call.query, name, "boolean", ("true", "false", "True", "False"))
    return None if text is None else text in {"true", "True"}


def _place_row(desk: Desk, call: Call, words: OrderWords | Refusal) -> Json:
    try:
        if isinstance(words, Refusal):
            raise words
        placed = desk.exchange.place(call.account, _new(desk, words), call.now_us)
    except Refused as refused:
        return {"operation": "Err", "code": refused.code, "message": refused.message}
    except Refusal as refused:
        return {"operation": "Err", "code": refused.code, "message": refused.message}
    return {"operation": "Ok"} | _row(desk, placed)


def _read(desk: Desk, body: Mapping[str, object]) -> OrderWords:
    """The order that a body asks for. Raises Refusal."""
    unknown = sorted(set(body) - ORDER_FIELDS) if desk.switches.refuses_unknown_fields else ()
    if unknown:
        raise Refusal(400, "", f'parse request payload error: unknown field `{unknown[0]}` (occurred while parsing "OrderExecutePayload")')
    return read_order(body, desk.readers)


def _new(desk: Desk, words: OrderWords) -> NewOrder:
    tick, lot = desk.steps(words.symbol)
    return NewOrder(
        symbol=words.symbol,
        side=words.side,
        order_type=OrderType(words.kind),
        lots=words.qty_lots * lot,
        quote_atoms=words.quote_atoms,
        ticks=words.price_ticks * tick,
        time_in_force=TimeInForce(words.time_in_force),
        post_only=words.post_only,
        reduce_only=words.reduce_only,
        client_id=words.client_id,
        self_trade=SelfTrade(words.self_trade) if words.self_trade else None,
        trigger_ticks=words.trigger_ticks * tick,
        trigger_lots=words.trigger_lots * lot,
        trigger_ppm=words.trigger_ppm,
        trigger_by=TriggerBy(words.trigger_by) if words.trigger_by else None,
        slippage_ticks=None if words.slippage_ticks is None else words.slippage_ticks * tick,
        slippage_ppm=words.slippage_ppm,
        attached=Attached(_leg(words.take_profit, tick), _leg(words.stop_loss, tick)) if words.take_profit or words.stop_loss else None,
        auto_lend=words.auto_lend,
        auto_lend_redeem=words.auto_lend_redeem,
        auto_borrow=words.auto_borrow,
        auto_borrow_repay=words.auto_borrow_repay,
    )


def _leg(leg: LegWords | None, tick: int) -> Leg | None:
    if leg is None:
        return None
    return Leg(leg.trigger_ticks * tick, leg.limit_ticks * tick, TriggerBy(leg.by) if leg.by else None)


def _row(desk: Desk, order: OrderState) -> Json:
    return order_row(order, desk.markets[order.symbol])


def _order_id(name: OrderName) -> int | None:
    """The order's number; text that is no number names no order."""
    if not name.order_id:
        return None
    if not name.order_id.isascii() or not name.order_id.isdigit() or len(name.order_id) > 19:
        raise Refusal(404, RESOURCE_NOT_FOUND, SAYS_NOT_FOUND)
    return int(name.order_id)


def _leverage(desk: Desk, name: str) -> str:
    floor_ppm = desk.exchange.rules.imf_floor_ppm
    return desk.leverage.get(name) or (str(PPM // floor_ppm) if floor_ppm else str(desk.switches.leverage_max))
