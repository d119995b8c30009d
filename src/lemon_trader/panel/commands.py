"""The panel's commands: what each does with the engine, the settings and the world. No toolkit is known here.

Looking is done by the program's own commands (`report`, `why`, …), so that the same figures stand everywhere. Acting on a running engine
goes over its control channel; with none running, the program's own command does it out of journal and exchange.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.resolve import Declarations, Request, check_symbol, preview
from lemon_trader.config.settings import LIVE
from lemon_trader.config.values import doubt, nearest, show
from lemon_trader.engine.control import ask
from lemon_trader.messages.catalogue import say, speak, spoken
from lemon_trader.panel.desk import Desk, Launch
from lemon_trader.panel.lines import Line, plain, table
from lemon_trader.panel.scene import ACTIVE, Scene, latch, rows_of
from lemon_trader.panel.settings import FILE, PROGRAM, STRATEGY, SYMBOL, Change
from lemon_trader.strategies.parameter import StrategyRefused

WAIT_S: Final = 5
ORIGIN: Final = "panel"
CONFIRMED: Final = {"kill": "panel.ask.kill", "flatten": "panel.ask.flatten", "resume": "panel.ask.resume"}  # by what each asks
SYMBOLS_IN_LINE: Final = 5


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its names, what it takes, the message that explains it, and the section of the help it stands in."""

    names: tuple[str, ...]
    operands: str
    help: str


# The first README's commands come first, in its order.
COMMANDS: Final = (
    Command(("help",), "", "panel.help.help"),
    Command(("clear",), "", "panel.help.clear"),
    Command(("exit", "quit"), "", "panel.help.exit"),
    Command(("symbols",), "", "panel.help.symbols"),
    Command(("start",), "[SYMBOL]", "panel.help.start"),
    Command(("stop",), "[SYMBOL]", "panel.help.stop"),
    Command(("params",), "", "panel.help.params"),
    Command(("set",), "NAME VALUE …", "panel.help.set"),
    Command(("status",), "", "panel.help.status"),
    Command(("balance",), "", "panel.help.balance"),
    Command(("orders",), "", "panel.help.orders"),
    Command(("cancel",), "", "panel.help.cancel"),
    Command(("diagnose", "doctor"), "", "panel.help.diagnose"),
    Command(("why",), "", "panel.help.why"),
    Command(("report",), "", "panel.help.report"),
    Command(("logs",), "", "panel.help.logs"),
    Command(("plan",), "[SYMBOL]", "panel.help.plan"),
    Command(("kill",), "", "panel.help.kill"),
    Command(("flatten",), "", "panel.help.flatten"),
    Command(("resume",), "", "panel.help.resume"),
    Command(("mode",), "sandbox|paper|live", "panel.help.mode"),
    Command(("strategy",), "NAME", "panel.help.strategy"),
    Command(("market",), "[SYMBOL]", "panel.help.market"),
    Command(("renew",), "", "panel.help.renew"),
)
NAMES: Final = tuple(name for command in COMMANDS for name in command.names)


class Stage(Protocol):
    """The screen, as a command may use it."""

    def note(self, level: str, text: str) -> None:
        """One entry of the log."""

    def page(self, title: str, lines: Sequence[Line]) -> None:
        """A page to read, over everything but head and command line."""

    async def answer(self, question: str) -> str | None:
        """What the reader types; None when the question was left with Esc."""

    def back(self) -> None:
        """Close the page, if one is open."""

    def clear(self) -> None:
        """Empty the log, close the page."""

    def leave(self) -> None:
        """Close the panel. Trading goes on."""


class Commands:
    """Carries out what is typed.

    Attributes:
        launched: the engine that this panel started and that has not answered yet.
    """

    def __init__(self, scene: Scene, desk: Desk, declarations: Declarations, stage: Stage) -> None:
        self.launched: Launch | None = None
        self._scene = scene
        self._desk = desk
        self._declarations = declarations
        self._stage = stage
        self._calls: dict[str, Callable[[Sequence[str]], Awaitable[None]]] = {
            "help": self._help, "clear": self._clear, "exit": self._exit, "quit": self._exit, "symbols": self._symbols,
            "start": self._start, "params": self._params, "set": self._set, "plan": self._plan, "mode": self._mode,
            "strategy": self._strategy, "market": self._market, "renew": self._renew,
            **{name: self._looking(name) for name in ("status", "balance", "orders", "why", "report", "logs")},
            **{name: self._looking("doctor") for name in ("diagnose", "doctor")},
            **{name: self._acting(name) for name in ("stop", "cancel", "kill", "flatten", "resume")},
        }  # fmt: skip

    async def run(self, text: str) -> None:
        """Carry out one line. What is refused stands in the log; nothing is raised."""
        words = text.split()
        if not words:
            return
        self._stage.back()  # what this command says stands in the log, which no page may hide
        self._stage.note("COMMAND", text.strip())
        try:
            name = words[0].lower()
            await self._call(name)(words[1:])
        except BadSetting as refused:
            for one in (refused, *refused.others):
                self._stage.note("ERROR", say(one.key, **one.values))
        except StrategyRefused as refused:
            self._stage.note("ERROR", say(refused.key, **refused.values))
        except TimeoutError:
            self._stage.note("ERROR", say("running.silent", mode=self._scene.mode.upper()))
        except OSError as error:
            self._stage.note("ERROR", say("failed.system", place=error.filename or "-", reason=error.strerror or type(error).__name__))

    def _call(self, name: str) -> Callable[[Sequence[str]], Awaitable[None]]:
        if name not in self._calls:
            raise BadSetting("panel.unknown-command", name=name[:60], likely=nearest(name, NAMES) or "help")
        return self._calls[name]

    # -- the panel itself --

    async def _help(self, _: Sequence[str]) -> None:
        rows = [[plain("  ".join((", ".join(c.names), c.operands)).rstrip()), plain(say(c.help))] for c in COMMANDS]
        lines = table(("", ""), rows, 10_000)[1:]
        keys = [(plain(say(key)),) for key in ("panel.help.keys", "panel.help.page", "panel.help.closing")]
        self._stage.page(say("panel.help.title"), [*lines, (), *keys])

    async def _clear(self, _: Sequence[str]) -> None:
        self._stage.clear()

    async def _exit(self, _: Sequence[str]) -> None:
        self._stage.leave()

    async def _symbols(self, _: Sequence[str]) -> None:
        names = list(await self._desk.symbols(self._chosen_mode()))
        rows = [names[n : n + SYMBOLS_IN_LINE] for n in range(0, len(names), SYMBOLS_IN_LINE)]
        cells = [[plain(name) for name in row + [""] * (SYMBOLS_IN_LINE - len(row))] for row in rows]
        self._stage.page(say("panel.symbols"), table([""] * SYMBOLS_IN_LINE, cells, 10_000)[1:])

    async def _mode(self, words: Sequence[str]) -> None:
        if len(words) != 1 or words[0].lower() not in self._desk.modes:
            likely = nearest(words[0], self._desk.modes) if words else None
            raise BadSetting("panel.mode-usage", modes=", ".join(self._desk.modes), likely=likely or self._desk.modes[-1])
        scene = self._scene
        scene.mode, scene.picture, scene.is_running, scene.is_silent, scene.symbol = words[0].lower(), None, False, False, ""
        self._stage.note("SYSTEM", say("panel.mode-now", mode=scene.mode.upper()))

    async def _strategy(self, words: Sequence[str]) -> None:
        if len(words) != 1:
            raise BadSetting("pair.strategy", name=STRATEGY, value=" ".join(words)[:60] or "-", choices=", ".join(self._declarations))
        await self._choose(strategy=words[0])

    async def _market(self, words: Sequence[str]) -> None:
        if not words:
            self._scene.next_market()
            return
        symbol = check_symbol(words[0], "market")
        if symbol not in {m["symbol"] for m in self._scene.markets}:
            raise BadSetting("panel.market-not-traded", symbol=symbol)
        self._scene.symbol = symbol

    # -- settings --

    async def _params(self, _: Sequence[str]) -> None:
        settings = self._scene.settings
        rows = [
            [
                plain(p.parameter.name),
                plain(show(p.parameter, value), "title" if origin else "plain"),
                plain(origin, "dim"),
                plain(say(p.parameter.help), "dim"),
            ]
            for p, value, origin in settings.rows()
        ]
        heads = [say(f"column.{name}") for name in ("setting", "value", "origin", "meaning")]
        lines = table(heads, rows, 10_000)
        lines += [(), (plain(say("panel.params.how", strategy=settings.strategy, symbol=settings.symbol or "-")),)]
        self._stage.page(say("panel.params", strategy=settings.strategy), lines)

    async def _set(self, words: Sequence[str]) -> None:
        if len(words) == 2 and words[0].lower() in {STRATEGY, SYMBOL, "symbol"}:
            await self._choose(**{STRATEGY if words[0].lower() == STRATEGY else "symbol": words[1]})
            return
        settings = self._scene.settings
        asked = settings.change(words)
        for change in asked:
            question = doubt(change.place.parameter, change.value)
            if question is not None and not await self._yes(say(question.key, **question.values)):
                self._stage.note("INFO", say("panel.not-changed"))
                return
        for change in asked:
            p = change.place.parameter
            section = "" if change.place.section in (settings.strategy, PROGRAM) else f" ({change.place.section})"
            self._stage.note("INFO", say("panel.set", name=p.name + section, value=show(p, change.value)))
            if p.name == "lang" and change.value is not None:
                speak(str(change.value))
        settings.keep(asked)
        if self._scene.is_running and not await self._edit(asked):
            self._stage.note("INFO", say("panel.set-next-start"))

    async def _edit(self, asked: Sequence[Change]) -> bool:
        """Offer to the pair that runs what was set; True once it goes on by it."""
        scene, market = self._scene, self._scene.market
        if market is None or str(market.get("strategy")) not in {change.place.section for change in asked}:
            market = next((m for m in scene.markets if str(m.get("strategy")) in {change.place.section for change in asked}), None)
        if market is None:
            return False
        strategy, symbol = str(market["strategy"]), str(market["symbol"])
        own = {p.name for p in self._declarations.get(strategy, ())}
        texts = {
            c.place.parameter.name: show(c.place.parameter, c.value)
            for c in asked
            if c.place.section == strategy and c.place.parameter.name in own
        }
        rows = [row for row in await self._asked_edit(symbol, texts, apply=False) if row.get("then") is not None] if texts else []
        if not rows:
            return False
        for row in rows:
            acts = say(f"acts.{row.get('acts')}")
            self._stage.note("INFO", say("edit.row", name=row.get("name"), now=row.get("now"), then=row.get("then"), acts=acts))
        question = say("edit.confirm", mode=scene.mode.upper(), symbol=symbol)
        if not await (self._typed(symbol, question) if scene.is_live else self._yes(question)):
            return False
        if not await self._asked_edit(symbol, texts, apply=True):
            return False
        self._stage.note("SYSTEM", say("panel.edited", mode=scene.mode.upper(), symbol=symbol))
        return True

    async def _asked_edit(self, symbol: str, texts: Mapping[str, str], *, apply: bool) -> list[Mapping[str, Any]]:
        """The parameters of this pair as the engine would have them, or has them now; empty where it refuses, which is noted."""
        store = self._desk.store(self._chosen_mode())
        reply = await ask(store, "edit", origin=ORIGIN, wait_s=WAIT_S, symbol=symbol, params=dict(texts), apply=apply) or {}
        if self._refused(reply):
            self._stage.note("WARNING", say("edit.refused", symbol=symbol))
        return rows_of(reply.get("edit"), "parameters")

    def _refused(self, reply: Mapping[str, Any]) -> bool:
        """Whether the engine refuses; what it says is noted."""
        refused = reply.get("refused") or ()
        for key, values in refused:
            self._stage.note("ERROR", say(str(key), **values))
        return bool(refused)

    async def _choose(self, *, strategy: str | None = None, symbol: str | None = None) -> None:
        settings = self._scene.settings
        try:
            settings.choose(strategy=strategy, symbol=symbol)
        finally:
            self._stage.note("INFO", say("panel.chosen", strategy=settings.strategy, symbol=settings.symbol or "-"))

    async def _renew(self, _: Sequence[str]) -> None:
        if self._scene.settings.problem is None:
            raise BadSetting("panel.nothing-to-renew", file=FILE)
        if await self._yes(say("panel.renew-ask", file=FILE)):
            name = self._scene.settings.renew()
            self._stage.note("SYSTEM", say("panel.renewed", file=FILE, kept=name))

    # -- looking --

    def _looking(self, name: str) -> Callable[[Sequence[str]], Awaitable[None]]:
        async def look(_: Sequence[str]) -> None:
            await self._read(name, name)

        return look

    async def _read(self, name: str, title: str, words: Sequence[str] = ()) -> int:
        """Show what one of the program's own commands prints; its exit code."""
        self._stage.note("SYSTEM", say("panel.asking", command=name))
        said = await self._desk.command(name, self._chosen_mode(), words)
        lines = [(plain(line),) for line in said.text.rstrip().split("\n")]
        self._stage.page(title, lines)
        return said.code

    async def _plan(self, words: Sequence[str]) -> None:
        await self._read("plan", "plan", self._plan_words(self._symbol(words)))

    def _plan_words(self, symbol: str) -> list[str]:
        settings = self._scene.settings
        return [f"{settings.strategy}:{symbol}", *settings.arguments()]

    # -- acting --

    def _acting(self, action: str) -> Callable[[Sequence[str]], Awaitable[None]]:
        async def act(words: Sequence[str]) -> None:
            mode = self._chosen_mode()
            if action == "resume" and not await self._show_resume(mode):
                self._stage.note("INFO", say("latch.none"))
                return
            if action in CONFIRMED and not await self._typed(action, say(CONFIRMED[action], mode=mode.upper(), held=self._held())):
                self._stage.back()
                self._stage.note("INFO", say("panel.not-done", action=action))
                return
            self._stage.back()
            symbol = check_symbol(words[0], action) if action == "stop" and words else ""
            detail = "" if symbol else " ".join(words)[:200]
            reply = await ask(self._desk.store(mode), action, origin=ORIGIN, wait_s=WAIT_S, detail=detail, symbol=symbol)
            if reply is not None and self._refused(reply):
                return
            if reply is None:
                self._stage.note("WARNING", say("panel.no-engine", mode=mode.upper(), action=action))
                await self._read(action, action, ["--yes"] if action in CONFIRMED else [])
            elif "done" in reply:
                key = "done.stop-pair" if reply.get("symbol") else f"done.{action}"
                self._stage.note("SYSTEM", say(key, mode=mode.upper(), symbol=reply.get("symbol")))
            else:
                self._stage.note("ERROR", say("running.refused", action=action, reason=str(reply.get("error", "-"))[:200]))

        return act

    def _held(self) -> str:
        """What is held, as the last picture shows it."""
        held = [f"{m.get('position')} {m.get('base', '')} ({m.get('unrealised') or '-'} {m.get('quote', '')})" for m in self._scene.markets]
        return "; ".join(held) or "-"

    async def _show_resume(self, mode: str) -> bool:
        """Why it stands still, the figures, and what would be placed; False where there is nothing to lift."""
        reply = await ask(self._desk.store(mode), "preview", origin=ORIGIN, wait_s=WAIT_S)
        if reply is None or "preview" not in reply:
            return True  # whoever does it without an engine looks for itself
        status: dict[str, Any] = reply.get("status", {})
        if status.get("state") == ACTIVE and not any(m.get("frozen") for m in rows_of(status, "markets")):
            return False
        net = str(status.get("net") or "-")
        lines: list[Line] = [
            (
                plain(
                    say("panel.resume.state", state=say(f"state.{str(status.get('state')).lower()}"), reason=latch(status), net=net), "bad"
                ),
            ),
        ]
        for market in reply["preview"]:
            rows = [
                [plain(say(f"role.{o.get('role')}")), plain(say(f"side.{o.get('side')}")), plain(o.get("price")), plain(o.get("open"))]
                for o in rows_of(market, "orders")
            ]
            heads = [say(f"column.{name}") for name in ("role", "side", "price", "open")]
            title = say("panel.would-place", symbol=market.get("symbol"), price=market.get("price") or "-")
            lines += [(), (plain(title, "title"),), *table(heads, rows, 10_000, right=frozenset({2, 3}))]
        self._stage.page("resume", lines)
        return True

    async def _start(self, words: Sequence[str]) -> None:
        scene, mode = self._scene, self._chosen_mode()
        symbol = self._symbol(words)
        if scene.is_running or scene.is_silent:
            raise BadSetting("panel.already-running", mode=mode.upper())
        if self.launched is not None and self.launched.ended() is None:
            raise BadSetting("panel.already-starting", mode=mode.upper())
        settings = scene.settings
        pair = f"{settings.strategy}:{symbol}"
        request = Request(flags=settings.flags(), flag_words=settings.flag_words(), pairs=[pair], environment=self._desk.environment)
        for question in preview(request, self._declarations).doubts:
            if not await self._yes(say(question.key, **question.values)):
                self._stage.note("INFO", say("panel.not-started"))
                return
        if mode == LIVE:
            code = await self._read("plan", f"LIVE {pair}", self._plan_words(symbol))
            if code:
                self._stage.note("INFO", say("panel.not-started"))
                return
            agreed = await self._typed(symbol, say("panel.ask.live", symbol=symbol))
            self._stage.back()
            if not agreed:
                self._stage.note("INFO", say("panel.not-started"))
                return
        arguments = [pair, *settings.arguments(), "--as-written", f"--lang={spoken()}"]
        self.launched = self._desk.launch(mode, [*arguments, *(["--yes"] if mode == LIVE else [])])
        scene.starting = True
        self._stage.note("SYSTEM", say("panel.launched", mode=mode.upper(), pair=pair))

    def _symbol(self, words: Sequence[str]) -> str:
        symbol = check_symbol(words[0], SYMBOL) if words else self._scene.settings.symbol
        if symbol is None:
            raise BadSetting("panel.no-symbol")
        return symbol

    def _chosen_mode(self) -> str:
        if not self._scene.mode:
            raise BadSetting("mode.keys-without-mode")
        return self._scene.mode

    async def _yes(self, question: str) -> bool:
        answer = await self._stage.answer(f"{question} {say('ask.yes-no')}")
        return answer is not None and answer.strip().lower() in say("ask.yes-words").split()

    async def _typed(self, word: str, question: str) -> bool:
        answer = await self._stage.answer(f"{question} {say('ask.type-word', word=word)}")
        return answer is not None and answer.strip() == word
