"""Every command and every key, typed into the panel itself, over a real control channel or none."""

import asyncio
import json

import pytest
from tests.panel.kit import SMALL, FakeDesk, Launched, opened, order, picture, settings_in

from lemon_trader.cli.declared import declarations
from lemon_trader.messages.catalogue import say
from lemon_trader.messages.width import width
from lemon_trader.panel.commands import COMMANDS, NAMES
from lemon_trader.panel.desk import Said
from lemon_trader.panel.settings import FILE


def drive(place, scenario, **options):
    async def go():
        async with opened(place, **options) as panel:
            await scenario(panel)

    asyncio.run(go())


def test_the_first_panels_commands_are_all_there_in_its_order():
    seeds = ["help", "clear", "exit", "symbols", "start", "stop", "params", "set", "status", "balance", "orders", "cancel", "diagnose"]
    assert [c.names[0] for c in COMMANDS][: len(seeds)] == seeds
    assert {"quit", "doctor", "why", "report", "logs", "plan", "kill", "flatten", "resume", "mode"} <= set(NAMES)


def test_help_is_a_page_that_names_every_command(tmp_path):
    async def scenario(panel):
        await panel.type("help")
        text = "\n".join(line.plain for line in panel.app.query_one("#page").content.split())
        assert all(name in text for name in NAMES)
        assert panel.app.screen.has_class("paging")
        await panel.pilot.press("escape")
        assert not panel.app.screen.has_class("paging")

    drive(tmp_path, scenario)


@pytest.mark.parametrize("typed", ["help", "params"])
def test_a_page_breaks_its_sentences_where_the_screen_ends(tmp_path, typed):
    async def scenario(panel):
        await panel.type(typed)
        text = panel.app.query_one("#page").content.plain
        assert max(width(line) for line in text.split("\n")) <= SMALL[0] - 2
        meanings = [c.help for c in COMMANDS] if typed == "help" else [p.help for p in declarations()["market-maker"]]
        assert all(word in text.split() for meaning in meanings for word in say(meaning).split()), "no word is cut"

    drive(tmp_path, scenario)


@pytest.mark.parametrize("key", [":", "/"])
def test_colon_and_slash_open_the_command_line_and_escape_leaves_it(tmp_path, key):
    async def scenario(panel):
        await panel.pilot.press(key, *"par", "backspace", "escape")
        assert not panel.app.screen.has_class("typing")
        assert panel.desk.commands == []
        await panel.pilot.press(key, *"clear", "enter")
        await panel.settle()
        assert panel.log == [], "the log was emptied by a command typed key by key"

    drive(tmp_path, scenario)


def test_up_brings_back_what_was_typed(tmp_path):
    async def scenario(panel):
        await panel.type("report")
        await panel.pilot.press("escape", ":", "up")
        assert panel.app.query_one("#command").value == "report"

    drive(tmp_path, scenario)


@pytest.mark.parametrize("text", ["exit", "quit"])
def test_exit_and_quit_close_the_panel_and_tell_the_engine_nothing(tmp_path, text):
    async def scenario(panel):
        await panel.type(text)
        assert panel.app._exit
        assert panel.told == []

    drive(tmp_path, scenario, shown=picture())


def test_q_closes_an_open_page_first_and_then_the_panel(tmp_path):
    async def scenario(panel):
        await panel.type("help")
        await panel.pilot.press("q")
        assert not panel.app.screen.has_class("paging")
        assert not panel.app._exit
        await panel.pilot.press("q")
        assert panel.app._exit
        assert panel.told == []

    drive(tmp_path, scenario, shown=picture())


def test_symbols_shows_five_in_a_line(tmp_path):
    async def scenario(panel):
        await panel.type("symbols")
        assert "BTC_USDC ETH_USDC SOL_USDC SOL_USDC_PERP" in " ".join(panel.text().split())

    drive(tmp_path, scenario)


def test_looking_shows_what_the_programs_own_command_prints(tmp_path):
    async def scenario(panel):
        for name in ("status", "balance", "orders", "why", "report", "logs", "diagnose", "doctor"):
            panel.desk.says = Said(0, f"what {name} printed\nin two lines\n")
            await panel.type(name)
            assert panel.desk.commands.pop() == ("doctor" if name == "diagnose" else name, "sandbox", [])
            assert f"what {name} printed" in panel.text()
            await panel.pilot.press("escape")

    drive(tmp_path, scenario, shown=picture())


def test_stop_and_cancel_go_to_the_running_engine(tmp_path):
    async def scenario(panel):
        for action in ("stop", "cancel"):
            await panel.type(action)
            assert panel.told.pop() == (action, "panel", "")

    drive(tmp_path, scenario, shown=picture())


@pytest.mark.parametrize("action", ["kill", "flatten", "resume"])
def test_kill_flatten_and_resume_want_their_own_word_typed(tmp_path, action):
    async def scenario(panel):
        for answer in ("yes", "", f"{action}!", None, action):
            await panel.type(action)
            assert "1.25 SOL" in panel.text(), "what is held is named"
            assert panel.told == [], f"nothing is done before the word, nor by {answer!r}"
            if answer is None:
                await panel.pilot.press("escape")
                await panel.settle()
            else:
                await panel.reply(answer)
            await panel.pilot.press("escape")
        assert panel.told == [(action, "panel", "")]

    drive(tmp_path, scenario, shown=picture(state="HALTED", reason="kill"))


@pytest.mark.parametrize(("typed", "said"), [("quux", "quux"), ("mode paper", "PAPER"), ("set spread -1", "-1"), ("stop", "stop")])
def test_what_a_command_says_is_not_hidden_by_the_page_of_the_one_before(tmp_path, typed, said):
    async def scenario(panel):
        await panel.type("report")
        assert panel.app.screen.has_class("paging")
        await panel.type(typed)
        assert not panel.app.screen.has_class("paging")
        assert said in panel.text()

    drive(tmp_path, scenario, shown=picture())


def test_a_resume_with_nothing_to_lift_is_not_given_because_it_would_count_the_loss_limits_anew(tmp_path):
    async def scenario(panel):
        await panel.type("resume")
        assert "Nothing is halted or frozen, so there is nothing to resume." in panel.log
        assert panel.told == []

    drive(tmp_path, scenario, shown=picture())


def test_after_the_word_for_a_resume_its_page_is_closed(tmp_path):
    async def scenario(panel):
        await panel.type("resume")
        assert panel.app.screen.has_class("paging")
        await panel.reply("resume")
        assert not panel.app.screen.has_class("paging")
        assert panel.told == [("resume", "panel", "")]

    drive(tmp_path, scenario, shown=picture(state="HALTED", reason="kill"))


def test_resume_shows_the_reason_the_figures_and_what_would_be_placed(tmp_path):
    rows = [{"symbol": "SOL_USDC", "strategy": "market-maker", "price": "150", "orders": [order("BUY", "149.37")]}]

    async def scenario(panel):
        await panel.type("resume")
        text = panel.text()
        assert say("latch.DAILY_LOSS", figures="-") in text
        assert "-41.5" in text
        assert "149.37" in text

    drive(tmp_path, scenario, shown=picture(state="HALTED", reason="DAILY_LOSS") | {"net": "-41.5"}, preview=rows)


def test_with_no_engine_running_the_programs_own_command_acts(tmp_path):
    async def scenario(panel):
        for action in ("stop", "cancel", "kill", "flatten", "resume"):
            await panel.type(action)
            if panel.app._waits is not None:
                await panel.reply(action)
            assert panel.desk.commands.pop() == (action, "sandbox", ["--yes"] if action in {"kill", "flatten", "resume"} else [])
            await panel.pilot.press("escape")

    drive(tmp_path, scenario)


def test_set_saves_at_once_and_says_so(tmp_path):
    async def scenario(panel):
        await panel.type("set spread 0.35 max_orders 5")
        assert json.loads((tmp_path / "settings" / FILE).read_text()) == {"version": 1, "base_spread_percentage": 0.35, "max_orders": 5}
        assert "spread is 0.35" in panel.log
        assert any("next start" in text for text in panel.log), "the engine that runs keeps its own"

    drive(tmp_path, scenario, shown=picture())


class Engine:
    """What a running engine says to a change of parameters: the spread, which is 0.4, becomes whatever was asked."""

    def __init__(self, refused=()):
        self.asked, self.refused = [], list(refused)

    def __call__(self, request):
        self.asked.append((request["symbol"], request["params"], request["apply"]))
        if self.refused:
            return {"refused": self.refused}
        rows = [{"name": name, "now": "0.4", "then": then, "acts": "now"} for name, then in request["params"].items()]
        return {
            "edit": {"symbol": request["symbol"], "strategy": "market-maker", "parameters": rows, "warnings": [], "done": request["apply"]}
        }


@pytest.mark.parametrize(("mode", "right", "wrong"), [("sandbox", "y", "n"), ("live", "SOL_USDC", "y")])
def test_set_offers_itself_to_the_running_pair_which_goes_on_by_it_only_once_it_is_confirmed(tmp_path, mode, right, wrong):
    engine = Engine()

    async def scenario(panel):
        await panel.type("set spread 0.35 daily_loss_pct 5")
        assert "spread: 0.4 → 0.35 (acts now)" in panel.log
        await panel.reply(wrong)
        assert any("next start" in text for text in panel.log)
        assert engine.asked == [("SOL_USDC", {"spread": "0.35"}, False)], "a limit is no parameter of the pair"
        assert json.loads((tmp_path / "settings" / FILE).read_text())["base_spread_percentage"] == 0.35, "saved all the same"
        engine.asked.clear()
        await panel.type("set spread 0.3")
        await panel.reply(right)
        assert engine.asked == [("SOL_USDC", {"spread": "0.3"}, False), ("SOL_USDC", {"spread": "0.3"}, True)]
        assert any("goes on by it" in text for text in panel.log)

    drive(tmp_path, scenario, shown=picture(), edit=engine, mode=mode, desk=FakeDesk(tmp_path, asked=mode))


def test_what_the_running_pair_refuses_is_said_and_saved_for_the_next_start(tmp_path):
    refused = [["edit.at-start", {"name": "--duration", "now": "1h", "value": "2h"}]]

    async def scenario(panel):
        await panel.type("set duration 2h")
        assert any("--duration is settled when a run starts" in text for text in panel.log)
        assert "SOL_USDC goes on unchanged." in panel.log
        assert json.loads((tmp_path / "settings" / FILE).read_text())["duration"] == 7200

    drive(tmp_path, scenario, shown=picture(), edit=Engine(refused))


def test_a_setting_of_a_strategy_that_does_not_run_waits_for_the_next_start(tmp_path):
    engine = Engine()

    async def scenario(panel):
        await panel.type("set martingale.layers 5")
        assert any("next start" in text for text in panel.log)
        assert engine.asked == []

    drive(tmp_path, scenario, shown=picture(), edit=engine)


def test_stop_with_a_symbol_ends_that_pair_alone(tmp_path):
    async def scenario(panel):
        await panel.type("stop SOL_USDC")
        assert panel.told == [("stop", "panel", "", "SOL_USDC")]
        assert any("this pair ends" in text for text in panel.log)
        await panel.type("stop sol-usdc")
        assert any("Did you mean SOL_USDC?" in text for text in panel.log)
        assert len(panel.told) == 1

    drive(tmp_path, scenario, shown=picture())


def test_strategy_and_symbol_can_be_set_by_each_of_their_names(tmp_path):
    async def scenario(panel):
        for text in ("set strategy martingale", "set strategy market-maker", "strategy martingale"):
            await panel.type(text)
            assert settings_in(tmp_path / "settings").strategy == text.split()[-1]
        for text in ("set symbol ETH_USDC", "set default_symbol BTC_USDC"):
            await panel.type(text)
            assert settings_in(tmp_path / "settings").symbol == text.split()[-1]

    drive(tmp_path, scenario)


def test_a_value_that_is_probably_not_meant_is_asked_about(tmp_path):
    async def scenario(panel):
        for answer, expected in (("n", "0.4"), ("", "0.4"), ("y", "30")):
            await panel.type("set spread 30")
            assert "0.3" in panel.text(), "the likely value is named"
            await panel.reply(answer)
            rows = {p.parameter.name: str(v) for p, v, _ in panel.app.scene.settings.rows()}
            assert rows["spread"] == expected

    drive(tmp_path, scenario)


REFUSED = [
    ("set spraed 0.4", "spread"),
    ("set spread much", "much"),
    ("set spread", "set takes"),
    ("set max_orders 5000", "5000"),
    ("reprot", "report"),
    ("mode livee", "live"),
    ("strategy martingal", "martingale"),
    ("market DOGE_USDC", "DOGE_USDC"),
    ("start sol-usdc", "SOL_USDC"),
    ("start", "Which market"),
    ("renew", "in order"),
    ("martingale.budget", "There is no command"),
]


def test_what_is_wrong_is_said_with_the_way_out_and_changes_nothing(tmp_path):
    async def scenario(panel):
        for text, says in REFUSED:
            panel.app.scene.log.clear()
            await panel.type(text)
            assert any(level == "ERROR" and says in said for level, said in panel.app.scene.log), (text, panel.log)
        assert panel.desk.launches == []
        assert not (tmp_path / "settings" / FILE).exists()

    drive(tmp_path, scenario)


def test_where_alerts_go_is_not_kept_in_the_panels_file_and_the_panel_says_where_it_is(tmp_path):
    async def scenario(panel):
        await panel.type("set on_alert https://hooks.example/T0TOKEN")
        assert "LEMON_TRADER_ON_ALERT" in panel.log[-1]
        assert not (tmp_path / "settings" / FILE).exists()

    drive(tmp_path, scenario)


def test_setting_the_language_changes_the_screen_at_once(tmp_path):
    async def scenario(panel):
        await panel.type("set lang zh-TW")
        await panel.settle()
        assert "閒置中" in panel.text()

    drive(tmp_path, scenario)


def test_params_lists_every_setting_with_value_origin_and_meaning(tmp_path):
    async def scenario(panel):
        await panel.type("set spread 0.35")
        await panel.type("params")
        text = panel.app.query_one("#page").content.plain
        line = next(line for line in text.split("\n") if line.startswith("spread "))
        assert "0.35" in line
        assert FILE in line
        assert "daily_loss_pct" in text

    drive(tmp_path, scenario)


def test_plan_asks_for_the_sheet_of_what_is_set_and_sends_nothing(tmp_path):
    async def scenario(panel):
        await panel.type("set spread 0.35")
        await panel.type("plan SOL_USDC")
        assert panel.desk.commands == [("plan", "sandbox", ["market-maker:SOL_USDC", "--spread=0.35"])]
        assert panel.desk.launches == []

    drive(tmp_path, scenario)


def test_start_starts_what_is_set_in_the_mode_that_is_looked_at(tmp_path):
    async def scenario(panel):
        await panel.type("set quantity 0.5")
        await panel.type("start SOL_USDC")
        assert panel.desk.launches == [("sandbox", ["market-maker:SOL_USDC", "--quantity=0.5", "--as-written", "--lang=en"])]
        assert "Starting" in panel.text()
        await panel.type("start SOL_USDC")
        assert len(panel.desk.launches) == 1, "once is enough"

    drive(tmp_path, scenario)


def test_a_second_engine_of_the_mode_is_not_started(tmp_path):
    async def scenario(panel):
        await panel.type("start SOL_USDC")
        assert panel.desk.launches == []
        assert any("runs already" in text for text in panel.log)

    drive(tmp_path, scenario, shown=picture())


def test_a_start_that_is_refused_says_why_on_a_page(tmp_path):
    desk = FakeDesk(tmp_path)
    desk.launched = Launched(2, "refused: the budget of 5 is too small\n")

    async def scenario(panel):
        await panel.type("start SOL_USDC")
        await panel.until(lambda: "the budget of 5 is too small" in panel.text())
        assert any("exit code 2" in text for text in panel.log)
        assert not panel.app.scene.starting

    drive(tmp_path, scenario, desk=desk)


def test_live_shows_the_sheet_and_starts_only_when_the_symbol_is_typed(tmp_path):
    desk = FakeDesk(tmp_path, asked="live")
    desk.says = Said(0, "the sheet: worst loss 12.34\n")

    async def scenario(panel):
        assert "REAL MONEY" in panel.text().splitlines()[0]
        for answer in ("sol_usdc", "y", "", "SOL_USDC"):
            await panel.type("start SOL_USDC")
            assert "worst loss 12.34" in panel.text(), "the sheet stands above the question"
            assert desk.launches == [], f"not before the symbol, nor by {answer!r}"
            await panel.reply(answer)
        assert [("--yes" in words, mode) for mode, words in desk.launches] == [(True, "live")]

    drive(tmp_path, scenario, desk=desk)


def test_live_with_a_sheet_that_is_refused_is_not_even_asked_about(tmp_path):
    desk = FakeDesk(tmp_path, asked="live")
    desk.says = Said(2, "refused: the stop stands inside the ladder\n")

    async def scenario(panel):
        await panel.type("start SOL_USDC")
        assert panel.app._waits is None
        assert desk.launches == []
        assert "inside the ladder" in panel.text()

    drive(tmp_path, scenario, desk=desk)


def test_with_keys_and_no_mode_nothing_starts_before_one_is_chosen(tmp_path):
    async def scenario(panel):
        await panel.type("start SOL_USDC")
        assert panel.desk.launches == []
        await panel.type("mode sandbox")
        await panel.type("start SOL_USDC")
        assert [mode for mode, _ in panel.desk.launches] == ["sandbox"]

    drive(tmp_path, scenario, desk=FakeDesk(tmp_path, asked=""))


def test_without_a_mode_the_panel_attaches_to_whatever_runs(tmp_path):
    async def scenario(panel):
        assert panel.app.scene.mode == "paper"

    desk = FakeDesk(tmp_path, asked="")
    desk_of = desk.store
    desk.store = lambda mode: desk_of("paper" if mode == "sandbox" else mode)  # the kit serves its engine under this name
    drive(tmp_path, scenario, desk=desk, shown=picture())


def test_tab_and_market_show_the_next_market_below(tmp_path):
    shown = picture()
    other = json.loads(json.dumps(shown["markets"][0])) | {"symbol": "ETH_USDC", "position": "-0.75", "base": "ETH"}
    shown["markets"].insert(0, other)

    async def scenario(panel):
        assert "-0.75 ETH" in panel.text()
        await panel.pilot.press("tab")
        assert "1.25 SOL" in panel.text()
        await panel.type("market ETH_USDC")
        assert "-0.75 ETH" in panel.text()

    drive(tmp_path, scenario, shown=shown)


def test_renew_wants_a_yes_and_begins_a_new_file(tmp_path):
    place = tmp_path / "settings"
    place.mkdir()
    (place / FILE).write_text("{broken")

    async def scenario(panel):
        assert "left as it is" in " ".join(panel.log)
        await panel.type("renew")
        await panel.reply("y")
        assert json.loads((place / FILE).read_text()) == {"version": 1}
        assert (place / "panel_settings.kept-1.json").read_text() == "{broken"

    drive(tmp_path, scenario)
