"""Flag before environment before file before default, every value with its origin, and nothing unknown in silence."""

from decimal import Decimal

import pytest
from tests.config.declared import STRATEGIES

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.resolve import Request, preview
from lemon_trader.config.sources import read_file

FILE = """
spread = 0.5
daily_loss_pct = 7

[[pair]]
strategy = "quoter"
symbol = "SOL_USDC"
spread = 0.6
budget = 250.50

[[pair]]
strategy = "ladder"
symbol = "BTC_USDC"
"""


@pytest.fixture
def toml(tmp_path):
    def write(text):
        path = tmp_path / "lemon.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def seen(request):
    """(section, name) → (value, origin) of everything the request shows."""
    return {(section, s.parameter.name): (s.value, s.origin) for section, part in preview(request, STRATEGIES).shown for s in part}


def test_each_layer_wins_over_the_ones_below_it(toml):
    path = toml(FILE)
    pair = ("quoter:SOL_USDC", "spread")
    flags, words = {"spread": "0.3"}, {"spread": "--spread"}
    environment = {"LEMON_TRADER_SPREAD": "0.4"}
    named = ("quoter:SOL_USDC",)
    assert seen(Request(flags=flags, flag_words=words, environment=environment, file=path, pairs=named))[pair] == (
        Decimal("0.3"),
        "--spread",
    )
    assert seen(Request(environment=environment, file=path, pairs=named))[pair] == (Decimal("0.4"), "LEMON_TRADER_SPREAD")
    assert seen(Request(file=path, pairs=named))[pair] == (Decimal("0.6"), f"{path}:8: spread")
    assert seen(Request(file=toml('spread = "0.5"'), pairs=named))[pair] == (Decimal("0.5"), f"{path}:1: spread")
    assert seen(Request(pairs=named))[pair] == (Decimal("0.4"), "")


def test_a_file_names_its_pairs_and_their_own_values(toml):
    found = preview(Request(file=toml(FILE)), STRATEGIES)
    assert [(p.strategy, p.symbol, p.budget) for p in found.pairs] == [
        ("quoter", "SOL_USDC", Decimal("250.5")),
        ("ladder", "BTC_USDC", None),
    ]
    assert found.pairs[0].values["spread"] == Decimal("0.6")
    assert found.pairs[0].given == {"spread", "budget"}
    assert found.house["daily_loss_pct"] == Decimal(7)


def test_a_strategy_gives_a_general_setting_its_own_default():
    pairs = preview(Request(pairs=("quoter:SOL_USDC", "ladder:BTC_USDC")), STRATEGIES).pairs
    assert [pair.duration_s for pair in pairs] == [3600, None]


def test_numbers_of_a_file_are_exact():
    pair = preview(Request(flags={"budget": "1.10"}, pairs=("quoter:SOL_USDC",)), STRATEGIES).pairs[0]
    assert str(pair.budget) == "1.10"


REFUSED_FILES = [
    ("an unknown key, with the nearest", "spraed = 1", "setting.unknown.meant"),
    ("a key of no meaning at all", "qqqqqq = 1", "setting.unknown"),
    ("an unknown key in a pair", '[[pair]]\nstrategy = "quoter"\nsymbol = "SOL_USDC"\nlayers = 3', "setting.unknown"),
    ("a pair without its symbol", '[[pair]]\nstrategy = "quoter"', "pair.incomplete"),
    ("pair as one table", 'pair = "quoter:SOL_USDC"', "file.pair-shape"),
    ("keys in a settings file", 'API_KEY = "x"', "file.holds-keys"),
    ("keys in a pair", '[[pair]]\nsecret_key = "x"', "file.holds-keys"),
    ("no TOML", "spread 0.3", "file.not-toml"),
    ("endless nesting", "spread = " + "[" * 5000, "file.not-toml"),
    ("an answer in a file", "as_written = true", "setting.unknown"),
    ("two strategies in one market", '[[pair]]\nstrategy = "quoter"\nsymbol = "SOL_USDC"\n' * 2, "pair.symbol-twice"),
]


@pytest.mark.parametrize(("text", "key"), [case[1:] for case in REFUSED_FILES], ids=[case[0] for case in REFUSED_FILES])
def test_files_that_are_refused(toml, text, key):
    with pytest.raises(BadSetting) as refused:
        preview(Request(file=toml(text)), STRATEGIES)
    assert refused.value.key == key


def test_a_missing_and_an_undecodable_file_are_refused_by_name(tmp_path):
    with pytest.raises(BadSetting) as missing:
        read_file(tmp_path / "none.toml")
    assert missing.value.key == "file.unreadable"
    assert str(missing.value.values["file"]).endswith("none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadSetting, match="not-toml"):
        read_file(tmp_path / "bytes.toml")


def test_an_unknown_variable_with_our_prefix_is_refused_and_others_are_none_of_our_business():
    with pytest.raises(BadSetting) as refused:
        preview(Request(environment={"LEMON_TRADER_SPRED": "1"}, pairs=("quoter:SOL_USDC",)), STRATEGIES)
    assert refused.value.values["likely"] == "LEMON_TRADER_SPREAD"
    preview(Request(environment={"LEMON_TRADER_DATA": "x", "SPREAD": "wild"}, pairs=("quoter:SOL_USDC",)), STRATEGIES)


def test_all_refusals_are_told_at_once():
    flags = {"spread": "-1", "max_orders": "many"}
    with pytest.raises(BadSetting) as refused:
        preview(
            Request(flags=flags, flag_words={"spread": "--spread", "max_orders": "--max-orders"}, pairs=("quoter:SOL_USDC",)), STRATEGIES
        )
    assert {refused.value.values["name"]} | {other.values["name"] for other in refused.value.others} == {"--spread", "--max-orders"}


def test_a_flag_of_a_strategy_that_does_not_run_is_refused():
    with pytest.raises(BadSetting) as refused:
        preview(Request(flags={"layers": "3"}, flag_words={"layers": "--layers"}, pairs=("quoter:SOL_USDC",)), STRATEGIES)
    assert refused.value.key == "setting.other-strategy"
    assert refused.value.values == {"name": "--layers", "strategy": "ladder"}


SYMBOLS = [
    ("sol_usdc", "pair.symbol-meant", "SOL_USDC"),
    ("SOL-USDC", "pair.symbol-meant", "SOL_USDC"),
    ("SOL/USDC", "pair.symbol-meant", "SOL_USDC"),
    ("SOL", "pair.symbol", None),
    ("../SOL_USDC", "pair.symbol", None),
    ("SOL_USDC\x00", "pair.symbol", None),
]


@pytest.mark.parametrize(("symbol", "key", "likely"), SYMBOLS)
def test_a_symbol_is_spelled_as_the_exchange_spells_it(symbol, key, likely):
    with pytest.raises(BadSetting) as refused:
        preview(Request(flags={"symbol": symbol}, flag_words={"symbol": "--symbol"}), STRATEGIES)
    assert refused.value.key == key
    assert refused.value.values.get("likely") == likely


def test_an_unknown_strategy_is_refused_with_the_nearest():
    with pytest.raises(BadSetting) as refused:
        preview(Request(pairs=("quotr:SOL_USDC",)), STRATEGIES)
    assert refused.value.values["likely"] == "quoter"
    with pytest.raises(BadSetting, match=r"pair\.word"):
        preview(Request(pairs=("SOL_USDC",)), STRATEGIES)


@pytest.mark.parametrize("proxy", ["socks5://a:1", "http://user:word@host:1", "host:1"])
def test_a_proxy_is_an_address_without_a_password(proxy):
    with pytest.raises(BadSetting) as refused:
        preview(Request(flags={"ws_proxy": proxy}, pairs=("quoter:SOL_USDC",)), STRATEGIES)
    assert refused.value.key == "setting.not-a-proxy"
    assert "word" not in str(refused.value)
