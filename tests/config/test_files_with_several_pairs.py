"""`lemon.toml` with several pairs: one account budget, one strategy to a market, and every mistake with its line."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.config.declared import STRATEGIES

from lemon_trader.config.budgets import share_budget
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.resolve import Request, preview, resolve
from lemon_trader.config.sources import key_lines, read_file

FILE = """# what trades
version = 1
account_budget = 1000
spread = 0.5

[[pair]]   # the first
strategy = "quoter"
symbol = "SOL_USDC"

[alerts]
digest = "off"

[[ pair ]]
strategy = "ladder"
symbol = "BTC_USDC"
budget = 250
"layers" = 4
"""


@pytest.fixture
def toml(tmp_path):
    def write(text):
        path = tmp_path / "lemon.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_every_key_has_its_line():
    found = key_lines(FILE)
    assert found == {
        (-1, "version"): 2, (-1, "account_budget"): 3, (-1, "spread"): 4, (0, ""): 6, (0, "strategy"): 7, (0, "symbol"): 8, (-1, "alerts"): 10,
        (1, ""): 13, (1, "strategy"): 14, (1, "symbol"): 15, (1, "budget"): 16, (1, "layers"): 17,
    }  # fmt: skip


def test_the_account_budget_is_shared_by_the_pairs_without_one_of_their_own(toml):
    found = preview(Request(file=toml(FILE)), STRATEGIES)
    assert {p.symbol: p.budget for p in found.pairs} == {"SOL_USDC": Decimal(750), "BTC_USDC": Decimal(250)}
    shown = {section: {s.parameter.name: (s.value, s.origin) for s in part} for section, part in found.shown}
    assert shown["quoter:SOL_USDC"]["budget"] == (Decimal(750), "account_budget")


WRONG = [
    ("a misspelled key of a pair", ("layers", "layrs"), "setting.unknown.meant", "lemon.toml:17", "place"),
    ("a misspelled key of the file", ("spread", "sprad"), "setting.unknown.meant", "lemon.toml:4", "place"),
    ("a value of a pair", ("250", "-250"), "setting.below", "lemon.toml:16: budget", "name"),
    ("a value of the file", ("0.5", '"half"'), "setting.not-a-number", "lemon.toml:4: spread", "name"),
    ("an event", ("digest", "digst"), "alerts.no-event", "lemon.toml:10: alerts", "name"),
    ("a strategy", ('"ladder"', '"laddr"'), "pair.strategy-meant", "lemon.toml:13: [[pair]] 2", "name"),
    ("a symbol", ('"BTC_USDC"', '"btc-usdc"'), "pair.symbol-meant", "lemon.toml:13: [[pair]] 2", "name"),
    ("a pair without its symbol", ('symbol = "BTC_USDC"', ""), "pair.incomplete", "lemon.toml:13: [[pair]] 2", "place"),
    ("a file of another version", ("version = 1", "version = 2"), "file.other-version", "2", "found"),
    ("a version that is no number", ("version = 1", "version = true"), "file.other-version", "True", "found"),
    ("the same market twice", ('"BTC_USDC"', '"SOL_USDC"'), "pair.symbol-twice", "SOL_USDC", "symbol"),
    ("more than the account has", ("250", "1250"), "budget.over-account", "1250", "wanted"),
    ("nothing left for the others", ("250", "999.5"), "budget.nothing-left", "quoter:SOL_USDC", "pairs"),
]


@pytest.mark.parametrize(("says", "change", "key", "value", "name"), WRONG, ids=[case[0] for case in WRONG])
def test_each_mistake_is_one_message_that_says_where(toml, says, change, key, value, name):
    assert change[0] in FILE
    with pytest.raises(BadSetting) as refused:
        preview(Request(file=toml(FILE.replace(change[0], change[1], 1))), STRATEGIES)
    assert refused.value.key == key
    assert str(refused.value.values[name]).endswith(value)


def test_a_file_that_is_not_toml_names_the_line_and_stays_as_it_is(toml):
    path = toml(FILE.replace("[alerts]", "[alerts"))
    before = path.read_bytes()
    with pytest.raises(BadSetting) as refused:
        read_file(path)
    assert "line 10" in str(refused.value.values["reason"])
    assert path.read_bytes() == before


def test_any_number_of_pairs(toml):
    pairs = "".join(f'[[pair]]\nstrategy = "quoter"\nsymbol = "C{n}_USDC"\n' for n in range(40))
    found = preview(Request(file=toml(f"account_budget = 4000\n{pairs}")), STRATEGIES)
    assert [p.budget for p in found.pairs] == [Decimal(100)] * 40


@given(
    account=st.decimals(min_value=1, max_value=10**6, places=2),
    own=st.lists(st.one_of(st.none(), st.decimals(min_value=1, max_value=10**5, places=2)), min_size=1, max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_shares_are_equal_never_exceed_the_account_and_leave_less_than_a_cent_each(account, own):
    pairs = {f"p{n}": budget for n, budget in enumerate(own)}
    taken = sum((b for b in own if b is not None), Decimal(0))
    if taken > account or (None in own and ((account - taken) / own.count(None)).quantize(Decimal("0.01"), "ROUND_DOWN") < 1):
        with pytest.raises(BadSetting):
            share_budget(account, pairs)
        return
    found = share_budget(account, pairs)
    assert all(found[name] == budget for name, budget in pairs.items() if budget is not None)
    shares = {found[name] for name, budget in pairs.items() if budget is None}
    assert len(shares) <= 1
    left = account - sum(found.values())
    assert left >= 0
    if shares:
        assert left < Decimal("0.01") * own.count(None)


def test_a_doubt_names_the_file_and_the_line_that_it_is_about(tmp_path):
    path = tmp_path / "lemon.toml"
    path.write_text('lang = "en"\n\n[[pair]]\nstrategy = "quoter"\nsymbol = "SOL_USDC"\nspread = 40\n')
    (found,) = resolve(Request(flags={"sandbox": "true"}, file=path, dotenv=tmp_path / ".env"), STRATEGIES).doubts
    assert found.values["name"] == f"{path}:6: spread"
    (found,) = resolve(
        Request(flags={"sandbox": "true", "spread": "40"}, flag_words={"spread": "--spread"}, file=path, dotenv=tmp_path / ".env"),
        STRATEGIES,
    ).doubts
    assert found.values["name"] == "--spread"
