"""What `lemon-trader sandbox` may be told of its accounts, and what it refuses."""

import pytest

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.resolve import Request
from lemon_trader.config.sandbox import resolve_sandbox
from lemon_trader.exchanges.signers import public_key
from lemon_trader.run.sandbox import world_of
from lemon_trader.sandbox.accounts import demo_accounts
from lemon_trader.sandbox.chosen import SWITCHES, chosen
from lemon_trader.sandbox.desk import Switches
from lemon_trader.sandbox.terms import sandbox_rules

SECRET = demo_accounts(7, 1)[0].secret
KEY = public_key(SECRET)
OTHER = demo_accounts(8, 1)[0].api_key


def resolved(**flags):
    return resolve_sandbox(Request(flags=flags, environment={}, flag_words={}, lang="en"))


def from_file(tmp_path, text, **flags):
    path = tmp_path / "accounts.toml"
    path.write_text(text, encoding="utf-8")
    return resolved(accounts_file=str(path), **flags)


def test_without_flags_there_are_two_accounts_with_the_usual_balances():
    settings = resolved()
    assert (settings.accounts, settings.own, settings.state, settings.admin_port) == (2, (), None, 0)
    assert settings.balances == {"USDC": "10000", "SOL": "20", "BTC": "0.1", "ETH": "2"}


def test_number_and_balance_of_demo_accounts_are_as_asked_for():
    world = world_of(resolved(accounts="3", balance="USDC=5.000000001, SOL=0"))
    assert (world.accounts, dict(world.balances)) == (3, {"USDC": "5.000000001", "SOL": "0"})


def test_own_accounts_need_no_secret_and_never_keep_one(tmp_path):
    text = f'[[account]]\napi_key = "{OTHER}"\n[[account]]\nname = "maker"\nsecret = "{SECRET}"\nbalance = "USDC=7"\n'
    settings = from_file(tmp_path, text, balance="USDC=1")
    assert [(a.name, a.api_key, a.secret, dict(a.balances)) for a in settings.own] == [
        ("own-1", OTHER, "", {"USDC": "1"}),
        ("maker", KEY, "", {"USDC": "7"}),
    ]
    assert [account.is_own for account in world_of(settings).own] == [True, True]


def test_with_hmac_the_secret_is_what_signatures_are_checked_by(tmp_path):
    settings = from_file(tmp_path, f'[[account]]\napi_key = "me"\nsecret = "{SECRET}"\n', signatures="hmac-sha256")
    assert (settings.own[0].api_key, settings.own[0].secret) == ("me", SECRET)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "sandbox.accounts-shape"),
        ("[[account]]\n[other]\n", "sandbox.accounts-shape"),
        ("account = 3\n", "sandbox.accounts-shape"),
        ("[[account]]\napi_key = 3\n", "sandbox.account-word"),
        (f'[[account]]\napi_key = "{KEY}"\nsekret = "x"\n', "sandbox.account-word"),
        ('[[account]]\napi_key = "abc"\n', "sandbox.account-key"),
        ("[[account]]\n", "sandbox.account-key"),
        (f'[[account]]\napi_key = "{OTHER}"\nsecret = "{SECRET}"\n', "sandbox.account-halves"),
        (f'[[account]]\napi_key = "{KEY}"\nname = "a\\u001bb"\n', "sandbox.account-name"),
        (f'[[account]]\napi_key = "{KEY}"\n[[account]]\napi_key = "{KEY}"\n', "sandbox.accounts-twice"),
        (f'[[account]]\napi_key = "{KEY}"\nbalance = "USDC"\n', "setting.paper-balance"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path, text, key):
    with pytest.raises(BadSetting) as refused:
        from_file(tmp_path, text)
    assert refused.value.key == key
    assert SECRET not in str(refused.value)


def test_an_own_account_may_not_have_a_demo_accounts_name(tmp_path):
    settings = from_file(tmp_path, f'[[account]]\nname = "account-2"\napi_key = "{KEY}"\n')
    with pytest.raises(BadSetting) as refused:
        world_of(settings)
    assert refused.value.key == "sandbox.accounts-clash"


@pytest.mark.parametrize("flags", [{"balance": "USDC=-1"}, {"balance": "USDC=1,USDC=2"}, {"accounts": "-1"}, {"accounts_file": "/no"}])
def test_flags_that_cannot_be_meant_are_refused(flags):
    with pytest.raises(BadSetting):
        resolved(**flags)


def test_switches_and_tier_are_turned_by_name():
    world = world_of(resolved(switches="client_id_rule=forever, taker_delay_us=100000,failed_taker_events=false", fee_tier="vip 1"))
    assert (world.rules.client_id_rule, world.rules.taker_delay_us, world.switches.failed_taker_events) == ("forever", 100_000, False)
    assert world.tier == "VIP1"
    assert world_of(resolved()).rules == sandbox_rules()


@pytest.mark.parametrize(
    ("flags", "key"),
    [
        ({"switches": "client_id_rul=forever"}, "setting.unknown.meant"),
        ({"switches": "client_id_rule"}, "sandbox.switch-form"),
        ({"switches": "taker_delay_us=1,taker_delay_us=2"}, "sandbox.switch-form"),
        ({"switches": "taker_delay_us=soon"}, "sandbox.choice-refused"),
        ({"switches": "client_id_rule=sometimes"}, "sandbox.choice-refused"),
        ({"switches": "reason_spelling=loud"}, "sandbox.choice-refused"),
        ({"fee_tier": "VIP9"}, "sandbox.choice-refused"),
    ],
)
def test_a_switch_or_tier_that_there_is_not_is_refused_by_its_name(flags, key):
    with pytest.raises(BadSetting) as refused:
        world_of(resolved(**flags))
    assert refused.value.key == key


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_takes_its_own_default_as_text(name):
    rules, switches = sandbox_rules(), Switches()
    usual = getattr(rules, name) if hasattr(rules, name) else getattr(switches, name)
    text = str(usual).lower() if isinstance(usual, bool) else str(usual)
    assert chosen({name: text}) == (rules, switches)
