"""The screen of the panel, by Textual: panes, keys, the command line and the questions. What they say is in `view.py` and `chart.py`."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from rich.segment import Segments
from rich.text import Text
from rich.traceback import Traceback
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, VerticalScroll
from textual.events import Key, Resize
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from lemon_trader.config.resolve import Declarations
from lemon_trader.config.settings import STATUS_FILE
from lemon_trader.engine.control import ask
from lemon_trader.messages.catalogue import escaped, say
from lemon_trader.messages.told import say_alert
from lemon_trader.panel import chart, view
from lemon_trader.panel.commands import NAMES, Commands
from lemon_trader.panel.desk import Desk
from lemon_trader.panel.lines import Line, folded, plain
from lemon_trader.panel.scene import Picture, Scene
from lemon_trader.panel.settings import FILE, PanelSettings

COLUMNS_MIN: Final = 80
ROWS_MIN: Final = 24
TALL: Final = 32  # rows from which the next start's settings are shown beside a running engine's figures
REFRESH_S: Final = 1 / 2  # as the first README's panel; half of what a snapshot may cost at most
ASK_S: Final = 3
SAID_MAX: Final = 600
GRADES: Final = {"info": "INFO", "warn": "WARNING", "grave": "ERROR"}

# What each style of `lines.py` looks like. Bold and reverse carry the meaning where there is no colour.
LOOKS: Final = {
    "plain": "", "title": "bold", "dim": "dim", "good": "green", "bad": "bold red", "warn": "yellow", "banner": "bold reverse",
    "live": "bold white on red", "buy": "green", "sell": "red",
}  # fmt: skip


def _at_us(picture: Picture) -> int:
    at_us = picture.get("as_of_us")
    return at_us if isinstance(at_us, int) else 0


class Pane(Static):
    """A block of lines that is made anew for every size."""

    _make: Callable[[int, int], Sequence[Line]] | None = None

    def show(self, make: Callable[[int, int], Sequence[Line]]) -> None:
        """Draw what `make(columns, rows)` gives for this pane's size, now and when the size changes. Text is never read as markup."""
        self._make = make
        self.on_resize()

    def on_resize(self) -> None:
        """Draw for the size that this pane has."""
        if self._make is None or self.size.width <= 0:
            return
        try:
            lines = self._make(self.size.width, self.size.height)
        except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
            # A picture of another version may hold anything: one pane says so, the others go on.
            lines = [(plain(say("panel.pane-fault", error=type(error).__name__), "bad"),)]
        self.update(drawn(lines))


def drawn(lines: Sequence[Line]) -> Text:
    """The lines as the toolkit takes them."""
    text = Text(no_wrap=True, overflow="crop", end="")
    for n, line in enumerate(lines):
        if n:
            text.append("\n")
        for part, style in line:
            text.append(part, LOOKS[style])
    return text


class Panel(App[None]):
    """The panel. It ends with `q`, `exit` or Ctrl-Q, and what trades goes on."""

    CSS = """
    Screen { layout: vertical; }
    #head, #quoting, #keys, #line { height: 1; }
    #question { height: auto; max-height: 4; display: none; }
    .asking #question { display: block; }
    #quoting.two { height: 2; }
    #body { height: 1fr; }
    #markets { height: auto; max-height: 5; }
    #figures { height: auto; }
    #middle { height: 1fr; min-height: 3; }
    #lower { height: 4; }
    .tall #lower { height: 14; }
    #chart, #orders { width: 1fr; height: 100%; }
    #orders { margin-left: 1; }
    #fills { width: 2fr; height: 100%; }
    #log { width: 3fr; height: 100%; margin-left: 1; }
    #pager { height: 1fr; display: none; scrollbar-size: 1 1; }
    #page { width: auto; height: auto; }
    #small { height: 1fr; display: none; }
    .paging #body { display: none; }
    .paging #pager { display: block; }
    .small #body, .small #pager { display: none; }
    .small #small { display: block; }
    #colon { width: 2; height: 1; }
    #command { width: 1fr; height: 1; border: none; padding: 0; background: transparent; }
    #command > .input--cursor { color: ansi_default; background: ansi_default; text-style: reverse; }
    #command > .input--suggestion { color: ansi_default; text-style: dim; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("colon,slash", "command", show=False, priority=True),
        Binding("q", "quit_or_close", show=False),
        Binding("tab", "next_market", show=False, priority=True),
    ]
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    TITLE = "lemon_trader"

    def __init__(self, desk: Desk, settings: PanelSettings, declarations: Declarations, *, alone: bool = True) -> None:
        """Nothing is asked yet. `alone`: no other panel looks at the same records."""
        super().__init__(ansi_color=True)  # from the first moment: only then NO_COLOR takes colours away without painting black on black
        self.scene = Scene(settings, mode=desk.asked)
        self.commands = Commands(self.scene, desk, declarations, self)
        self._desk = desk
        self._alone = alone
        self._polling = False
        self._busy = False
        self._question = ""
        self._waits: asyncio.Future[str | None] | None = None
        self._history: list[str] = []
        self._back = 0
        self._told_us = 0
        self._trouble = ""
        self._extent = (0, 0)
        self._is_ready = False

    def compose(self) -> ComposeResult:
        """The panes from the top down."""
        yield Pane(id="head")
        yield Pane(id="quoting")
        with Container(id="body"):
            yield Pane(id="markets")
            yield Pane(id="figures")
            with Horizontal(id="middle"):
                yield Pane(id="chart")
                yield Pane(id="orders")
            with Horizontal(id="lower"):
                yield Pane(id="fills")
                yield Pane(id="log")
        with VerticalScroll(id="pager"):
            yield Static(id="page")
        yield Pane(id="small")
        yield Pane(id="question")
        with Horizontal(id="line"):
            yield Pane(id="colon")
            yield Input(
                id="command", suggester=SuggestFromList(self._suggestions(), case_sensitive=False), compact=True, select_on_focus=False
            )
        yield Pane(id="keys")

    def on_mount(self) -> None:
        """Say how things stand, then look twice a second."""
        self._is_ready = True
        self.theme = "ansi-dark"  # the terminal's own colours, dark or light
        self._welcome()
        self.set_interval(REFRESH_S, self._tick)
        self._tick()

    def on_unmount(self) -> None:
        """Leave whatever was asked unanswered: nothing is done."""
        self._is_ready = False
        self._settle(None)

    def on_resize(self, event: Resize) -> None:
        """Another size, another arrangement."""
        self._extent = (event.size.width, event.size.height)
        small = event.size.width < COLUMNS_MIN or event.size.height < ROWS_MIN
        self.screen.set_class(small, "small")
        self.screen.set_class(event.size.height >= TALL, "tall")
        self.call_after_refresh(self.draw)

    # -- keys --

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Inside the command line a colon is a colon, and Tab does nothing.

        The keys that open it are looked at before any other, so that what is typed behind them in one breath finds it open.
        """
        del parameters
        return not (action in {"command", "next_market"} and self.screen.has_class("typing"))

    def action_command(self) -> None:
        """Open the command line."""
        if self._waits is None and not self._busy:
            self._type("")

    def action_quit_or_close(self) -> None:
        """Close the page that is open, else the panel."""
        if self.screen.has_class("paging"):
            self._close_page()
        else:
            self.exit()

    def action_next_market(self) -> None:
        """Show the next market in the lower panes."""
        self.scene.next_market()
        self.draw()

    def on_key(self, event: Key) -> None:
        """Esc leaves what is open; arrows go back and forth in what was typed, or scroll the page."""
        field = self.query_one("#command", Input)
        if event.key == "escape":
            event.stop()
            if self._waits is not None:
                self._settle(None)
            elif self.screen.has_class("typing"):
                self._stop_typing()
            else:
                self._close_page()
        elif event.key in {"up", "down"} and self.screen.has_class("typing") and self._waits is None and self._history:
            event.stop()
            self._back = min(max(self._back + (1 if event.key == "up" else -1), 0), len(self._history))
            field.value = self._history[-self._back] if self._back else ""
            field.cursor_position = len(field.value)
        elif self.screen.has_class("paging") and not self.screen.has_class("typing"):
            pager = self.query_one("#pager", VerticalScroll)
            moves = {
                "down": pager.scroll_down, "up": pager.scroll_up, "pagedown": pager.scroll_page_down, "pageup": pager.scroll_page_up,
                "space": pager.scroll_page_down, "home": pager.scroll_home, "end": pager.scroll_end, "left": pager.scroll_left,
                "right": pager.scroll_right,
            }  # fmt: skip
            if event.key in moves:
                event.stop()
                moves[event.key](animate=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter: an answer where something was asked, else a command."""
        text = event.value
        if self._waits is not None:
            self._settle(text)
            return
        self._stop_typing()
        if text.strip():
            self._history.append(text)
            self._busy = True
            self.run_worker(self._carry_out(text), exit_on_error=True)

    # -- what a command may use of the screen --

    def note(self, level: str, text: str) -> None:
        """One entry of the log."""
        self.scene.note(level, text)
        self.draw()

    def page(self, title: str, lines: Sequence[Line]) -> None:
        """A page to read."""
        head: Line = (plain(f" {title} ", "banner"), plain(f"  {say('panel.page')}", "dim"))
        fitted = [part for line in lines for part in folded(line, self._extent[0] - 2)]  # the scroll bar takes a column
        self.query_one("#page", Static).update(drawn([head, (), *fitted]))
        self.screen.add_class("paging")
        self.query_one("#pager", VerticalScroll).scroll_home(animate=False)
        self.draw()

    async def answer(self, question: str) -> str | None:
        """Ask in the command line; None when it was left."""
        self._question = question
        self._waits = asyncio.get_running_loop().create_future()
        self.screen.add_class("asking")
        self.query_one("#question", Pane).update(drawn(view.question(question, self._extent[0])))  # its height follows its text
        self._type("")
        try:
            return await self._waits
        finally:
            self._waits = None
            self._question = ""
            if self._is_ready:
                self.screen.remove_class("asking")
            self._stop_typing()

    def back(self) -> None:
        """Close the page that is open."""
        if self.screen.has_class("paging"):
            self._close_page()

    def clear(self) -> None:
        """Empty the log and close the page."""
        self.scene.log.clear()
        self._close_page()

    def leave(self) -> None:
        """Close the panel."""
        self.exit()

    # -- inside --

    async def _carry_out(self, text: str) -> None:
        try:
            await self.commands.run(text)
        finally:
            self._busy = False
            self.draw()

    def _fatal_error(self) -> None:
        """Leave with a traceback that shows no values: among them could be the environment with its keys."""
        self._exit_renderables.append(Segments(self.console.render(Traceback(show_locals=False), self.console.options)))
        self._close_messages_no_wait()

    def _type(self, text: str) -> None:
        if not self._is_ready:
            return
        field = self.query_one("#command", Input)
        field.value = text
        self._back = 0
        self.screen.add_class("typing")
        self.screen.set_focus(field)  # at once: what is typed behind the colon in the same breath belongs to it
        self.draw()

    def _stop_typing(self) -> None:
        if not self._is_ready:
            return
        self.query_one("#command", Input).value = ""
        self.screen.remove_class("typing")
        self.set_focus(None)
        self.draw()

    def _settle(self, text: str | None) -> None:
        if self._waits is not None and not self._waits.done():
            self._waits.set_result(text)

    def _close_page(self) -> None:
        self.screen.remove_class("paging")
        self.call_after_refresh(self.draw)

    def _suggestions(self) -> list[str]:
        names = self.scene.settings.names()
        return [*NAMES, *(f"set {name} " for name in names), *(f"mode {mode}" for mode in self._desk.modes)]

    def _welcome(self) -> None:
        settings = self.scene.settings
        self.scene.note("SYSTEM", say("panel.welcome"))
        if not self._alone:
            self.scene.note("WARNING", say("panel.second"))
        if settings.problem is not None:
            self.scene.note("ERROR", say(settings.problem.key, **settings.problem.values))
            for other in settings.problem.others:
                self.scene.note("ERROR", say(other.key, **other.values))
            self.scene.note("WARNING", say("panel.settings-left", file=FILE))
        if settings.strangers:
            self.scene.note("INFO", say("panel.settings-strangers", file=FILE, names=", ".join(settings.strangers)[:200]))

    def _tick(self) -> None:
        if not self._polling:
            self._polling = True
            self.run_worker(self._poll(), exit_on_error=True)

    async def _poll(self) -> None:
        try:
            await self._look()
        finally:
            self._polling = False
            self.draw()

    async def _look(self) -> None:
        """Ask the engine of the mode; without a mode, whichever runs."""
        scene = self.scene
        for mode in [scene.mode] if scene.mode else self._desk.modes:
            picture = await self._picture(mode)
            if picture is not None and (not scene.mode or scene.mode == mode):
                if not scene.is_running:
                    scene.note("SYSTEM", say("panel.attached", mode=mode.upper()))
                    scene.starting = False
                scene.mode = mode
                scene.take(picture, running=True)
                self._tell_alerts()
                return
        if scene.is_silent:
            return
        if scene.is_running:
            scene.is_running = False
            scene.note("WARNING", say("panel.engine-ended", mode=scene.mode.upper()))
            self._last_seen()
        elif scene.mode and scene.picture is None:
            self._last_seen()
        self._watch_launch()

    async def _picture(self, mode: str) -> dict[str, Any] | None:
        scene = self.scene
        try:
            reply = await ask(self._desk.store(mode), "status", origin="panel", wait_s=ASK_S)
        except TimeoutError:
            scene.is_silent = scene.mode == mode
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._say_trouble(say("panel.unreadable", mode=mode.upper(), reason=str(error)[:120]))
            return None
        scene.is_silent = False
        found = reply.get("status") if reply is not None else None
        if reply is not None and not isinstance(found, dict):
            self._say_trouble(say("panel.unreadable", mode=mode.upper(), reason=str(reply.get("error", "-"))[:120]))
            return None
        return found

    def _say_trouble(self, text: str) -> None:
        """Once, until it is another one."""
        if text != self._trouble:
            self._trouble = text
            self.scene.note("ERROR", text)

    def _last_seen(self) -> None:
        """What the last engine of this mode left behind."""
        try:
            raw = self._desk.store(self.scene.mode).read(STATUS_FILE)
            picture = json.loads(raw) if raw else None
        except (OSError, ValueError) as error:
            self._say_trouble(say("panel.unreadable", mode=self.scene.mode.upper(), reason=str(error)[:120]))
            return
        seen = self.scene.picture
        if isinstance(picture, dict) and (seen is None or _at_us(picture) >= _at_us(seen)):
            self.scene.take(picture, running=False)

    def _watch_launch(self) -> None:
        """An engine that this panel started and that has ended: its own last words, whether it was refused, failed or stopped."""
        launched = self.commands.launched
        code = launched.ended() if launched is not None else None
        if launched is None or code is None:
            return
        self.commands.launched = None
        self.scene.starting = False
        if code:
            self.scene.note("ERROR", say("panel.start-failed", code=code))
        self.page("run", [(plain(line),) for line in launched.said().rstrip().split("\n")])

    def _tell_alerts(self) -> None:
        """What the engine told since the last look, in its own words."""
        found = self.scene.picture.get("alerts") if self.scene.picture is not None else None
        fresh = [
            a for a in (found if isinstance(found, list) else [])
            if isinstance(a, dict) and isinstance(a.get("at_us"), int) and a["at_us"] > self._told_us
        ]  # fmt: skip
        for alert in reversed(fresh):
            values = alert.get("values")
            text = say_alert(str(alert.get("key")), {str(k): v for k, v in (values if isinstance(values, dict) else {}).items()})
            self.scene.note(GRADES.get(str(alert.get("grade")), "INFO"), text[:SAID_MAX])
            self._told_us = max(self._told_us, alert["at_us"])

    def draw(self) -> None:
        """Draw every pane anew."""
        if not self._is_ready:
            return
        scene = self.scene
        columns, rows = self._extent
        two = bool(scene.stranger and scene.is_running)
        panes: dict[str, Callable[[int, int], Sequence[Line]]] = {
            "head": lambda w, _: view.head(scene, w),
            "quoting": lambda w, _: view.quoting(scene, w),
            "markets": lambda w, _: view.markets(scene, w),
            "figures": lambda w, _: view.figures(scene, w, full=rows >= TALL),
            "chart": lambda w, h: chart.chart(scene, w, h),
            "orders": lambda w, h: view.orders(scene, w, h),
            "fills": lambda w, h: view.fills(scene, w, h),
            "log": lambda w, h: view.log(scene, w, h),
            "small": lambda w, _: [
                (plain(escaped(say("panel.small", columns=columns, rows=rows, least=f"{COLUMNS_MIN}×{ROWS_MIN}"))[:w]),)
            ],
            "question": lambda w, _: view.question(self._question, w),
            "colon": lambda _, __: [(plain(":" if self.screen.has_class("typing") else " ", "title"),)],
            "keys": lambda w, _: view.keys(w),
        }
        # By what is there and not by name: while the panel closes, parts of the screen are gone already.
        for field in self.query(Input):
            field.placeholder = say("panel.busy") if self._busy and self._waits is None else ""
        for pane in self.query(Pane):
            pane.set_class(two, "two")
            pane.show(panes[str(pane.id)])
