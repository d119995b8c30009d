"""The numbered menu: the seed's eight entries in its order, and after them the program's own commands.

An entry does what its command does, by the same function. The lines may come from a pipe: they are read to their end.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from lemon_trader.cli.declared import declarations
from lemon_trader.cli.doors import DONE, FAILED, INTERRUPTED, answer, complain
from lemon_trader.cli.edit import ask_edit
from lemon_trader.cli.flags import HELP, KEYS, MODE_FLAGS, Group, Typed, negative
from lemon_trader.cli.menu_screens import print_analysis, print_book, print_chains, print_markets
from lemon_trader.cli.prompts import Prompts
from lemon_trader.cli.running import running_engine
from lemon_trader.cli.screen import print_table, print_text
from lemon_trader.cli.trade import request_of, start
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import HOUSE, MARKET, PAIR
from lemon_trader.config.reach import SANDBOX_URL, ReachSettings, resolve_reach
from lemon_trader.config.resolve import check_symbol, preview
from lemon_trader.config.settings import LIVE, PAPER, SANDBOX
from lemon_trader.config.values import parse
from lemon_trader.core.instrument import GateError, Instrument, atoms_text
from lemon_trader.exchanges.signers import SecretError
from lemon_trader.market.errors import RecordingError
from lemon_trader.market.instruments import UnknownMarket
from lemon_trader.messages.catalogue import say, speak, spoken
from lemon_trader.run.menu import MenuExchange, ReadLost
from lemon_trader.sandbox.server import PortInUse
from lemon_trader.strategies.parameter import START, Parameter

Dispatch = Callable[[Sequence[str]], int]  # runs a command line of `lemon-trader`
USUAL_SYMBOL: Final = "SOL_USDC"
EXIT: Final = "8"
COMMANDS: Final = ("plan", "doctor", "status", "why", "orders", "stop", "cancel", "kill", "flatten", "resume", "edit")
NOT_FOR_A_RUN: Final = frozenset({"cli", "panel", "help", "file", SANDBOX_URL.name})


class Entry(NamedTuple):
    """One line of the menu: what it is called, and what it does."""

    label: str
    call: Callable[[], int]


def menu_groups() -> Sequence[Group]:
    """The flags of `lemon-trader menu`."""
    house = tuple(p for p in HOUSE if p.name in {"lang", "data_dir", "ws_proxy"})
    return [("group.which", (*MODE_FLAGS, SANDBOX_URL, *KEYS)), ("group.market", MARKET), ("group.house", (*house, HELP))]


def menu(typed: Typed, dispatch: Dispatch, *, seed_door: bool = False) -> int:
    """Show the menu until it is left; the exit code: 0, or the worst that an entry of a pipe had. Raises BadSetting."""
    settings, _ = resolve_reach(request_of(typed, seed_door=seed_door), declarations())
    speak(settings.lang)
    print_text(say(f"mode.{settings.mode}", place=settings.store_dir))
    if settings.mode_reason:
        print_text(say(settings.mode_reason))
    if settings.keys_refused is not None:
        if settings.keys_refused.key != "keys.missing":
            raise settings.keys_refused  # keys that are there and cannot be used are never passed over
        print_text(say("menu.no-account-live"))
    face = Menu(settings, typed, dispatch)
    try:
        return face.loop()
    finally:
        face.close()


class Menu:
    """A menu that is open."""

    def __init__(self, settings: ReachSettings, typed: Typed, dispatch: Dispatch) -> None:
        """Nothing is asked of an exchange before an entry needs it."""
        self._settings = settings
        self._typed = typed
        self._dispatch = dispatch
        self._prompts = Prompts()
        self._opened: MenuExchange | None = None
        self._symbol = typed.flags.get("symbol", USUAL_SYMBOL)
        seeds: Mapping[str, Callable[[], int]] = {
            "menu.deposit": self._deposit, "menu.balances": self._balances, "menu.markets": self._markets, "menu.book": self._book,
            "menu.run": self._run, "menu.statistics": self._statistics, "menu.analysis": self._analysis, "menu.exit": lambda: DONE,
        }  # fmt: skip
        self._entries = {str(number): Entry(say(key), call) for number, (key, call) in enumerate(seeds.items(), 1)}
        for number, name in enumerate(COMMANDS, len(self._entries) + 1):
            self._entries[str(number)] = Entry(f"{name}: {say(f'command.{name}')}", self._command(name))

    def loop(self) -> int:
        """Ask, do, ask again. Raises BadSetting for a wrong line of a pipe, KeyboardInterrupt for Ctrl-C where nothing runs."""
        worst = DONE
        self._show()
        while True:
            try:
                choice = self._prompts.line(f"\n{say('menu.choose', mode=self._settings.mode.upper())} ")
            except EOFError:
                print()
                break
            if choice == EXIT:
                break
            if not choice:
                self._show()
            found = self._entries.get(choice)
            if found is not None:
                code = self._do(found)
                if self._prompts.is_derailed:
                    return code
                worst = worst if self._prompts.is_person else max(worst, code)
            elif choice:
                self._prompts.refused(BadSetting("menu.unknown", value=choice[:40], last=len(self._entries)))
        print_text(say("menu.bye"))
        return worst

    def close(self) -> None:
        """Give the exchange back."""
        if self._opened is not None:
            self._opened.close()

    # -- the seed's entries --

    def _deposit(self) -> int:
        exchange = self._account()
        if exchange is None:
            return FAILED
        chains = exchange.chains()
        print_chains(chains)
        names = sorted({token.chain for tokens in chains.values() for token in tokens})
        if not names:
            raise ReadLost(say("menu.no-chains"))
        chain = self._prompts.choice("menu.which-chain", names, "Solana" if "Solana" in names else names[0])
        print_text(say("menu.address", chain=chain, address=exchange.deposit_address(chain)))
        return DONE

    def _balances(self) -> int:
        exchange = self._account()
        if exchange is None:
            return FAILED
        rows: list[Sequence[object]] = [(b.asset, atoms_text(b.available_atoms), atoms_text(b.locked_atoms)) for b in exchange.balances()]
        print_table(say("menu.balances"), ("menu.asset", "menu.available", "menu.locked"), rows)
        return DONE

    def _markets(self) -> int:
        print_markets(self._exchange().markets())
        return DONE

    def _book(self) -> int:
        market = self._which_market()
        print_book(market, self._exchange().book(market.symbol))
        return DONE

    def _run(self) -> int:
        flags, words = self._pair_flags()
        if self._settings.mode == SANDBOX:
            print_text(say("menu.own-sandbox"))
        typed = Typed(flags, words, ())
        doubted = {str(doubt.values["name"]) for doubt in preview(request_of(typed), declarations()).doubts}
        if doubted <= self._prompts.accepted:
            # Every doubt was answered at its prompt; asking the same again would teach people to say yes.
            typed = Typed(flags | {"as_written": "true"}, words, ())
        return start(typed)

    def _statistics(self) -> int:
        return self._dispatch(["report", *self._house()])

    def _analysis(self) -> int:
        market = self._which_market()
        print_analysis(self._exchange().look(market.symbol))
        return DONE

    # -- the program's commands --

    def _command(self, name: str) -> Callable[[], int]:
        def call() -> int:
            if name == "plan":
                flags, words = self._pair_flags()
                own = [part for key, value in flags.items() if key in words for part in (words[key], value)]
                return self._dispatch(["plan", f"{flags['strategy']}:{flags['symbol']}", *own, "--lang", spoken()])
            if name == "doctor" and self._settings.mode == SANDBOX:
                url = self._settings.sandbox_url or self._exchange().embedded_url
                return self._dispatch([name, *self._house(), SANDBOX_URL.flag, url, "--seed", str(self._settings.market.seed)])
            return self._dispatch([name, *(self._edited() if name == "edit" else ()), *self._house()])

        return call

    def _edited(self) -> list[str]:
        """The pair that shall go on by other parameters, and those, asked for with what holds now; nothing where nothing runs."""
        running = running_engine(Typed({self._settings.mode: "true", "data_dir": str(self._settings.data_dir)}, {}, ()))
        if running is None:
            return []
        mode, store, picture = running
        traded = [str(m["symbol"]) for m in picture["markets"] if m["strategy"]]
        symbol = traded[0] if len(traded) == 1 else self._prompts.choice("menu.which-pair", traded, traded[0])
        asked = ask_edit(mode, store, symbol, {})
        now = {row["name"]: row["now"] for row in asked["parameters"]}
        own = [p for p in declarations()[asked["strategy"]] if p.acts != START]
        then = self._prompts.values(own, {p.name: now[p.name] for p in own})
        changed = [p for p in own if then[p.name] != now[p.name]]
        flags = [f"{p.flag}={then[p.name]}" if p.kind != "bool" else p.flag if parse(p, then[p.name]) else negative(p) for p in changed]
        return [symbol, *flags, "--as-written"]  # what was doubtful was asked about at its prompt

    def _house(self) -> list[str]:
        return [f"--{self._settings.mode}", "--data-dir", str(self._settings.data_dir), "--lang", spoken()]

    # -- inside --

    def _show(self) -> None:
        print_text(f"\n{say('menu.title', mode=self._settings.mode.upper())}")
        for number, entry in self._entries.items():
            print_text(f"{number:>3}  {entry.label}")

    def _do(self, entry: Entry) -> int:
        """Do one entry; what it refuses is said, and the menu goes on."""
        code = answer(["--lang", spoken()], os.environ, lambda: self._reached(entry.call))
        if code == INTERRUPTED and not self._prompts.is_person:
            raise KeyboardInterrupt
        return code

    def _reached(self, call: Callable[[], int]) -> int:
        try:
            return call()
        except ReadLost as error:
            complain("menu.read-lost", {"reason": str(error)})
        except EOFError:
            print()
            complain("menu.unfinished", {})
        return FAILED

    def _exchange(self) -> MenuExchange:
        """The exchange, opened when it is first needed. Raises BadSetting where it cannot be."""
        if self._opened is None:
            try:
                self._opened = MenuExchange(self._settings)
            except (SecretError, UnknownMarket, RecordingError, GateError, PortInUse, ValueError) as error:
                raise BadSetting("start.refused", reason=str(error)) from error
            if self._opened.embedded_url:
                print_text(say("menu.embedded", url=self._opened.embedded_url))
        return self._opened

    def _account(self) -> MenuExchange | None:
        """The exchange where it can be asked for the account's own; else what to do is said."""
        if self._settings.mode == PAPER or (self._settings.mode == LIVE and self._settings.keys is None):
            print_text(say("menu.no-account-paper" if self._settings.mode == PAPER else "menu.no-account-live"))
            return None
        return self._exchange()

    def _which_market(self) -> Instrument:
        """A market that the exchange lists, asked for. Raises ReadLost."""
        listed = self._exchange().markets()
        while True:
            text = self._prompts.line(f"{say('menu.which-market')} [{self._symbol}]: ") or self._symbol
            try:
                found = _listed(text, listed)
            except BadSetting as error:
                self._prompts.refused(error)
                continue
            self._symbol = found.symbol
            return found

    def _pair_flags(self) -> tuple[dict[str, str], dict[str, str]]:
        """(flags, what each is called) of a pair, asked for: strategy, market, and every parameter that the strategy declares."""
        known = declarations()
        strategies = list(known)
        strategy = self._prompts.choice("menu.which-strategy", strategies, self._typed.flags.get("strategy", strategies[0]))
        symbol = self._which_market().symbol
        own = known[strategy]
        asked: Sequence[Parameter] = (*own, *(p for p in PAIR if p.name not in {q.name for q in own}))
        values = self._prompts.values(asked, {p.name: self._typed.flags[p.name] for p in asked if p.name in self._typed.flags})
        of_pairs = {p.name for parameters in known.values() for p in parameters} | {p.name for p in PAIR}
        kept = {k: v for k, v in self._typed.flags.items() if k not in NOT_FOR_A_RUN | of_pairs}
        flags = kept | {self._settings.mode: "true", "strategy": strategy, "symbol": symbol} | values
        return flags, {p.name: p.flag for p in asked}


def _listed(text: str, listed: Mapping[str, Instrument]) -> Instrument:
    """The market of that name. Raises BadSetting with those that are near."""
    symbol = check_symbol(text, say("menu.which-market"))
    if symbol not in listed:
        base = symbol.split("_", maxsplit=1)[0]
        near = [s for s in sorted(listed) if s.split("_", maxsplit=1)[0] == base] or sorted(listed)
        raise BadSetting("start.unknown_symbol", symbol=symbol, near=", ".join(near[:6]))
    return listed[symbol]
