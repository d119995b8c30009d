"""`run.py` and `main.py`: the seed's flags, defaults and order, from a clone whose package is not installed."""

import base64
import os
import resource
from decimal import Decimal

import pytest
from tests.cli.typed import process, run

from lemon_trader.cli import seed
from lemon_trader.cli.declared import declarations
from lemon_trader.cli.flags import read_flags, trading_groups
from lemon_trader.cli.trade import request_of
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.resolve import Request, preview

# The five command lines of the seed that trade, word for word.
LINES = [
    ("run.py", "--symbol SOL_USDC --spread 0.1", {"spread": "0.1"}),
    ("main.py", "--symbol SOL_USDC --spread 0.5 --max-orders 3 --duration 3600 --interval 60", {"spread": "0.5"}),
    ("run.py", "--symbol SOL_USDC --spread 0.2 --max-orders 5", {"spread": "0.2", "max_orders": 5}),
    ("run.py", "--symbol SOL_USDC --spread 0.1 --duration 86400 --interval 120", {"spread": "0.1", "interval": 120}),
    (
        "run.py", "--symbol SOL_USDC --spread 0.3 --quantity 0.5 --max-orders 3 --duration 7200 --interval 60",
        {"spread": "0.3", "quantity": "0.5", "max_orders": 3, "interval": 60},
    ),
]  # fmt: skip


def typed(line):
    return read_flags(line.split(), trading_groups(faces=True), words=False)


@pytest.mark.parametrize(("door", "line", "values"), LINES)
def test_the_seeds_command_lines_mean_what_they_say(door, line, values):
    found = preview(request_of(typed(line)), declarations())
    (pair,) = found.pairs
    assert (pair.strategy, pair.symbol) == ("market-maker", "SOL_USDC")
    for name, value in values.items():
        assert pair.values[name] == (Decimal(value) if isinstance(value, str) else value)
    duration = int(line.partition("--duration ")[2].split()[0]) if "--duration" in line else 3600
    assert pair.duration_s == duration
    assert not found.doubts, "the seed's own numbers raise no questions"


def test_the_seeds_defaults():
    (pair,) = preview(Request(flags={"symbol": "SOL_USDC"}), declarations()).pairs
    assert (pair.values["max_orders"], pair.duration_s, pair.values["interval"], pair.values["quantity"]) == (3, 3600, 60, None)


def test_a_martingale_has_no_end_unless_one_is_given():
    flags = {"symbol": "SOL_USDC", "strategy": "martingale"}
    assert preview(Request(flags=flags), declarations()).pairs[0].duration_s is None
    assert preview(Request(flags=flags | {"duration": "2h"}), declarations()).pairs[0].duration_s == 7200


DISPATCH = [
    ("the panel comes before everything", "run.py", "--panel --cli --symbol SOL_USDC --spread 0.1", "panel", 2),
    ("the menu comes before a direct run", "run.py", "--cli --symbol SOL_USDC --spread 0.1", "menu", 0),
    ("nothing given to run.py is answered with its hint", "run.py", "", "hint", 0),
    ("a symbol alone is not enough to trade", "run.py", "--symbol SOL_USDC", "hint", 0),
    ("nothing given to main.py opens the menu", "main.py", "", "menu", 0),
    ("symbol and spread trade", "run.py", "--symbol SOL_USDC --spread 0.1", "trade", 0),
    ("symbol and spread trade from the other door", "main.py", "--symbol SOL_USDC --spread 0.1", "trade", 0),
    ("symbol and strategy trade", "run.py", "--symbol SOL_USDC --strategy martingale", "trade", 0),
]


@pytest.mark.parametrize(("door", "line", "what", "code"), [case[1:] for case in DISPATCH], ids=[case[0] for case in DISPATCH])
def test_what_wins(monkeypatch, capsys, door, line, what, code):
    started = []
    monkeypatch.setattr("lemon_trader.cli.trade.start", lambda typed, *, seed_door: started.append((typed.flags, seed_door)) or 0)
    opened = []
    monkeypatch.setattr("lemon_trader.cli.menu.menu", lambda typed, dispatch, *, seed_door: opened.append(seed_door) or 0)
    printed = run(capsys, lambda arguments: seed.main(door, arguments), line.split())
    assert printed.code == code
    assert opened == ([True] if what == "menu" else [])
    assert bool(started) == (what == "trade")
    assert all(seed_door for _, seed_door in started), "only here may keys choose live"
    assert {
        "panel": "panel needs a terminal" in printed.err,
        "menu": True,
        "hint": f"python {door} --help" in printed.out,
        "trade": True,
    }[what]


@pytest.mark.parametrize("door", ["run.py", "main.py"])
def test_a_first_word_is_a_command_of_the_program(capsys, door):
    printed = run(capsys, lambda arguments: seed.main(door, arguments), ["plan", "martingale:SOL_USDC", "--budget", "400", "--lang", "en"])
    assert printed.code == 0
    assert "Nothing was sent." in printed.out
    wrong = run(capsys, lambda arguments: seed.main(door, arguments), ["statsu", "--lang", "en"])
    assert wrong.code == 2
    assert "status" in wrong.err, "a wrong command is answered with the nearest"


@pytest.mark.parametrize("line", ["--spred 0.1", "--spread", "SOL_USDC", "--yes=maybe", "--s 1"])
def test_a_command_line_that_cannot_be_read_is_refused(line):
    with pytest.raises(BadSetting):
        typed(line)


def test_an_unknown_flag_names_the_nearest():
    with pytest.raises(BadSetting) as refused:
        typed("--symbol SOL_USDC --spraed 0.1")
    assert refused.value.values["likely"] == "--spread"


def test_a_negative_number_is_a_value_and_not_a_flag():
    assert typed("--spread -0.1").flags["spread"] == "-0.1"


def test_a_switch_that_is_on_can_be_turned_off():
    assert typed("--no-stop-by-layer").flags["stop_by_layer"] == "false"


@pytest.mark.process
@pytest.mark.parametrize("door", ["run.py", "main.py"])
def test_help_lists_the_seeds_flags_quickly_without_a_package_installed(door, tmp_path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    printed = process(door, ["--help"], tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert printed.code == 0
    for flag in (
        "--api-key",
        "--secret-key",
        "--cli",
        "--panel",
        "--symbol",
        "--spread",
        "--quantity",
        "--max-orders",
        "--duration",
        "--interval",
    ):
        assert f"  {flag}" in printed.out
    assert not printed.err
    # Work and not waiting, so that a busy machine does not fail it.
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert worked < 1.0, f"help took {worked:.2f} s of work; 0.15 s is usual"


HEAVY = ("numba", "aiohttp", "picows", "pyarrow", "pydantic", "asyncio", "sqlite3", "rich", "nacl")


@pytest.mark.process
def test_help_imports_nothing_heavy(tmp_path):
    script = tmp_path / "imported.py"
    root = os.fspath(seed.__file__).partition("lemon_trader")[0]
    script.write_text(
        f"import sys\nsys.path.insert(0, {root!r})\nfrom lemon_trader.cli.seed import main\nmain('run.py', ['--help'])\n"
        f"print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])\n"
    )
    assert process(script, [], tmp_path).out.splitlines()[-1] == "HEAVY []"


@pytest.mark.process
@pytest.mark.skipif(os.name != "posix", reason="permissions of this kind are POSIX's")
class TestRealDoors:
    """As processes of their own, with a `.env` that would be an error to open."""

    def test_a_loose_dotenv_is_refused_and_never_a_fallback(self, tmp_path):
        (tmp_path / ".env").write_text("API_KEY=a\nSECRET_KEY=b\n")
        (tmp_path / ".env").chmod(0o644)
        printed = process("run.py", ["--symbol", "SOL_USDC", "--spread", "0.4", "--live", "--yes"], tmp_path)
        assert printed.code == 2
        assert "chmod 600 .env" in printed.err
        assert not (tmp_path / "data-store").exists(), "nothing was begun"

    def test_live_from_keys_needs_a_terminal_or_both_flags(self, tmp_path):
        (tmp_path / ".env").write_text("API_KEY=a\nSECRET_KEY=b\n")
        (tmp_path / ".env").chmod(0o600)
        printed = process("run.py", ["--symbol", "SOL_USDC", "--spread", "0.4"], tmp_path)
        assert printed.code == 2
        assert "--live and --yes" in printed.err

    def test_keys_without_a_mode_are_refused_at_the_other_door(self, tmp_path):
        key = base64.b64encode(bytes(32)).decode()
        environment = {"API_KEY": key, "SECRET_KEY": key}
        script = tmp_path / "door.py"
        script.write_text(
            f"import sys\nsys.path.insert(0, {os.fspath(seed.__file__).partition('lemon_trader')[0]!r})\n"
            "from lemon_trader.cli.app import main\nsys.exit(main(sys.argv[1:]))\n"
        )
        printed = process(script, ["run", "market-maker:SOL_USDC"], tmp_path, environment)
        assert printed.code == 2
        for word in ("--live", "--paper", "--sandbox"):
            assert word in printed.err
        assert key not in printed.err + printed.out

    def test_a_refusal_is_in_the_readers_language(self, tmp_path):
        printed = process("run.py", ["--symbol", "SOL_USDC", "--spread", "-0.4"], tmp_path, {"LANG": "zh_TW.UTF-8", "PYTHONUTF8": "1"})
        assert printed.code == 2
        assert "太小" in printed.err
        assert "0.4" in printed.err
