"""Who may change what the program does: a person's commands, and the latches of limits and of missing protection."""

from typing import Final

import msgspec

from lemon_trader.core.events import Latched, MarketClosing, UserCommand
from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.reconcile import POSITION_MISMATCH, adopt_strangers
from lemon_trader.core.state import AccountState
from lemon_trader.core.units import ACTIVE, HALTED, MODE_NAMES, REDUCING

WATCHDOG: Final = "WATCHDOG"  # reason of a latch: the engine hung or died, and what opens was cancelled from outside


def user_command(state: AccountState, e: UserCommand) -> None:
    """Fold what a person told the program to do."""
    match e.action:
        case "stop" if e.symbol:
            _end_pair(state, e)
            return
        case "edit":
            _edit(state, e)
            return
        case "stop":
            if state.mode == REDUCING and state.mode_reason == "stop":
                return  # the run that ends by a command gives it once more
            if state.mode == ACTIVE:
                state.mode, state.mode_reason = REDUCING, "stop"
        case "cancel":
            if state.mode == ACTIVE:
                state.mode, state.mode_reason = REDUCING, "cancel"
            state.exit_masked, state.flatten = True, False  # after a stop and in a halt as well: everything of ours but the STOP goes
        case "kill":
            state.mode, state.mode_reason, state.mode_detail, state.exit_masked = HALTED, "kill", e.detail, True
            state.flatten = False  # a kill sells nothing, not even what a flatten began to sell
        case "flatten":
            state.mode, state.mode_reason, state.mode_detail, state.exit_masked = HALTED, "flatten", e.detail, True
            state.flatten = True
        case "resume":
            state.mode, state.mode_reason, state.mode_detail = ACTIVE, "", ""
            state.exit_masked = state.flatten = False
            state.has_anchor = False  # the anchors start anew from here, or the same limit would trip at once
            for m in state.markets.values():
                if m.frozen != POSITION_MISMATCH or adopt_strangers(state, m, e.ts_us):
                    m.frozen = ""
                m.closing = False
                m.exposed_us = 0
                m.mismatch = 0  # a difference that is still there is counted, and told, anew
                m.refusals.clear()
        case _:
            raise ValueError(f"unknown command {e.action!r}; known are stop, cancel, kill, flatten, resume and edit")
    state.tell(e.ts_us, f"alert.command_{e.action}", "warn", origin=e.origin, detail=e.detail)
    ask_all(state)


def _end_pair(state: AccountState, e: UserCommand) -> None:
    """One pair ends, the others go on: like `stop`, in its market alone, until a start."""
    m = state.markets.get(e.symbol)
    if m is not None and not m.ended:
        m.ended = m.asked = True
        state.tell(e.ts_us, "alert.pair_ended", "info", symbol=e.symbol, origin=e.origin, held=atoms_text(m.ledger.base_atoms))


def _edit(state: AccountState, e: UserCommand) -> None:
    """One pair goes on by other parameters. What a cycle has frozen stays as it is; the strategy says so in its memory."""
    m, started = state.markets.get(e.symbol), state.started.get(e.symbol)
    if m is None or started is None:
        return
    state.started[e.symbol] = msgspec.structs.replace(started, params=e.params)
    if m.binding is not None:
        m.binding.edit(m.binding, e.params)
    m.asked = True
    state.tell(e.ts_us, "alert.command_edit", "warn", symbol=e.symbol, origin=e.origin, detail=e.detail)


def latched(state: AccountState, e: Latched) -> None:
    """Fold a latch of the account."""
    state.mode, state.mode_reason, state.mode_detail = e.mode, e.reason, e.detail
    if e.reason == WATCHDOG:
        state.exit_masked, state.flatten = True, False  # what a kill does: the watchdog has cancelled the EXIT as well, and sells nothing
    state.tell(e.ts_us, "alert.latched", "grave", mode=MODE_NAMES[e.mode], reason=e.reason, detail=e.detail)
    ask_all(state)


def market_closing(state: AccountState, e: MarketClosing) -> None:
    """Fold the end of a market that could not be protected: it is sold, and nothing opens there until a person resumes."""
    m = state.markets.get(e.symbol)
    if m is not None and not m.closing:
        m.closing = m.asked = True
        m.frozen = m.frozen or e.reason
        held = atoms_text(m.ledger.base_atoms)
        state.tell(e.ts_us, "alert.market_closing", "grave", symbol=e.symbol, seconds=e.seconds, held=held, base=m.instrument.base)


def ask_all(state: AccountState) -> None:
    """Every market is decided again."""
    for m in state.markets.values():
        m.asked = True
