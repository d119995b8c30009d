"""Who is told what: targets, levels and addresses, out of flags, environment and file, and never shown."""

import shutil
import sys

import pytest
from tests.config.declared import STRATEGIES

from lemon_trader.config import alerts
from lemon_trader.config.alerts import ALERTS, EVENTS, alert_settings, levels_of, secrets_of, target
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.resolve import Request, preview, resolve
from lemon_trader.config.settings import AlertSettings, AlertTarget, Secret
from lemon_trader.config.values import items, parse, show

ON_ALERT, LEVELS, HEARTBEAT = ALERTS[0], ALERTS[1], ALERTS[2]
PYTHON = sys.executable

LISTS = [
    ("one", "cat", ("cat",)),
    ("two", "cat, https://x/y", ("cat", "https://x/y")),
    ("the flag given twice", "cat\nhttps://x/y", ("cat", "https://x/y")),
    ("a comma in quotes belongs to the command", 'notify "Lemon, alert", cat', ('notify "Lemon, alert"', "cat")),
    ("an address with commas, in quotes", '"mailto://a?to=b,c",cat', ("mailto://a?to=b,c", "cat")),
    ("a whole program in quotes keeps them", '"my program"', ('"my program"',)),
    ("a quote that nobody closes", "it's", ("it's",)),
    ("nothing", " , ", ()),
]


@pytest.mark.parametrize(("says", "text", "expected"), LISTS, ids=[case[0] for case in LISTS])
def test_a_list_is_what_stands_between_commas(says, text, expected):
    assert items(text) == expected
    kept = parse(ON_ALERT, text)
    assert items(str(kept or "")) == expected


@pytest.mark.parametrize("item", ["a, b", 'say "a, b" twice', "it's, well", "https://x/?a=1,2&b='3,4'", "plain"])
def test_every_item_of_an_array_comes_back_whole(item):
    assert items(str(parse(ON_ALERT, [item, "cat"]))) == (item, "cat")


def test_what_cannot_come_back_whole_is_refused():
    with pytest.raises(BadSetting) as refused:
        parse(ON_ALERT, ['it\'s "so", well'])
    assert refused.value.key == "setting.quotes"


NOT_LISTS = [3, [3], ["a\nb"], ["x" * 2_000], ["y" * 1_000] * 5, {"a": "b"}]


@pytest.mark.parametrize("raw", NOT_LISTS, ids=[str(r)[:12] for r in NOT_LISTS])
def test_what_is_no_list_is_refused_without_being_quoted(raw):
    with pytest.raises(BadSetting) as refused:
        parse(ON_ALERT, raw)
    assert "xxx" not in str(refused.value)


LEVEL_TEXTS = [
    ("one event", "fill=on", "fill=on"),
    ("in the order of the events, whatever was typed", "digest = Silent,start=off", "start=off, digest=silent"),
    ("a table", {"digest": "silent", "fill": True, "start": False}, "start=off, digest=silent, fill=on"),
    ("as usual", "auto", None),
]


@pytest.mark.parametrize(("says", "raw", "expected"), LEVEL_TEXTS, ids=[case[0] for case in LEVEL_TEXTS])
def test_levels_are_read_from_text_and_table(says, raw, expected):
    assert parse(LEVELS, raw) == expected


BAD_LEVELS = [("fil=on", "alerts.no-event"), ("fill", "alerts.no-level"), ("fill=loud", "alerts.no-level"), ({"fill": 3}, "alerts.no-level"), ("off", "alerts.no-level")]  # fmt: skip


@pytest.mark.parametrize(("raw", "key"), BAD_LEVELS, ids=[str(b[0]) for b in BAD_LEVELS])
def test_an_event_or_a_level_that_does_not_exist_is_refused(raw, key):
    with pytest.raises(BadSetting) as refused:
        parse(LEVELS, raw)
    assert refused.value.key == key


def test_every_event_has_a_level_and_fills_are_not_told_unless_asked_for():
    levels = levels_of(None)
    assert set(levels) == set(EVENTS)
    assert levels["fill"] == "off"
    assert levels["unprotected"] == levels["halt"] == "on"
    assert levels_of("fill=on, halt=silent")["fill"] == "on"


KINDS = [
    ("https://hooks.example/T0/secret", "web", "https://hooks.example"),
    ("http://127.0.0.1:9/x", "web", "http://127.0.0.1:9"),
    (f"{PYTHON} -c pass", "command", PYTHON.rsplit("/", 1)[-1]),
]


@pytest.mark.parametrize(("text", "kind", "label"), KINDS)
def test_what_kind_of_target_a_word_is(text, kind, label):
    found = target(text)
    assert (found.kind, found.label) == (kind, label)


def test_a_command_is_split_as_a_shell_would_and_run_by_none():
    assert target(f"{PYTHON} -c 'a b' \"$(c)\"").words == (PYTHON, "-c", "a b", "$(c)")


def test_targets_of_one_host_have_different_labels():
    first = target("https://x.example/a")
    assert target("https://x.example/b", {first.label}).label == "https://x.example #2"


BAD_TARGETS = [
    ("https://", "alerts.address"),
    ("https://x:99999/", "alerts.address"),
    ("https://x/a b", "alerts.address"),
    ("https://名.example/x", "alerts.address"),
    ("https://user:pass@x/y", "alerts.password"),
    ("no-such-program-here", "alerts.no-program"),
    ('cat "x', "alerts.command"),
]


@pytest.mark.parametrize(("text", "key"), BAD_TARGETS)
def test_what_cannot_be_a_target_is_refused(text, key):
    with pytest.raises(BadSetting) as refused:
        target(text)
    assert refused.value.key == key
    assert "pass@" not in str(refused.value)


def test_a_service_wants_the_extra_and_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(alerts.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(BadSetting) as refused:
        target("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js")
    assert refused.value.key == "alerts.needs-extra"
    assert "requirements-notify.txt" in str(refused.value.values["line"])
    assert "JHMHI8" not in str(refused.value)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_a_service_that_apprise_knows_is_taken_and_one_that_it_does_not_is_refused():
    pytest.importorskip("apprise", reason="the extra 'notify' is not installed")
    found = target("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js")
    assert (found.kind, found.label) == ("service", "discord://")
    with pytest.raises(BadSetting) as refused:
        target("nobody-knows-this://x")
    assert refused.value.key == "alerts.service"


def test_addresses_are_never_shown_and_their_parts_are_known_to_the_log():
    text = "https://hooks.example/services/T0AAAA/B0BBBB?key=CCCCCC, discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"
    assert show(ON_ALERT, text) == "https://***, discord://***"
    assert show(HEARTBEAT, "https://hc.example/ping/1234") == "https://***"
    found = AlertSettings(
        targets=tuple(AlertTarget("web", "hook", Secret(word)) for word in items(text)), heartbeat=Secret("https://hc.example/p/1234-5678")
    )
    assert {"T0AAAA", "B0BBBB", "CCCCCC", "4174216298", "JHMHI8qBe7bk2ZwO5U711o3dV_js", "1234-5678"} <= set(secrets_of(found))
    assert "hooks.example" not in secrets_of(found)
    assert "services" in secrets_of(found), "eight letters may be a token"
    assert "ping" not in secrets_of(AlertSettings(heartbeat=Secret("https://hc.example/ping/1234"))), "a word that our own texts may hold"
    assert "T0AAAA" not in repr(found)


def test_a_run_gets_all_of_it(tmp_path):
    file = tmp_path / "lemon.toml"
    file.write_text(
        'on_alert = ["cat", "https://hooks.example/T0"]\nheartbeat_url = "https://hc.example/p"\naccount_label = "main"\n[alerts]\nfill = "on"\n'
        '[[pair]]\nstrategy = "quoter"\nsymbol = "SOL_USDC"\n'
    )
    settings = resolve(Request(file=file, flags={"sandbox": "true"}, dotenv=tmp_path / "none"), STRATEGIES).settings.alerts
    assert [t.label for t in settings.targets] == ["cat", "https://hooks.example"]
    assert settings.targets[0].words[0] == "cat"
    assert shutil.which("cat")
    assert settings.levels["fill"] == "on"
    assert (settings.heartbeat_s, settings.account_label) == (60, "main")


def test_every_wrong_target_is_told_at_once_with_its_place(tmp_path):
    file = tmp_path / "lemon.toml"
    file.write_text('\non_alert = ["nope-1", "nope-2"]\nheartbeat_url = "gopher://x"\n')
    with pytest.raises(BadSetting) as refused:
        preview(Request(file=file), STRATEGIES)
    told = [refused.value, *refused.value.others]
    assert [e.key for e in told] == ["alerts.no-program", "alerts.no-program", "alerts.address"]
    assert [str(e.values["name"]).rsplit("/", 1)[-1] for e in told] == [
        "lemon.toml:2: on_alert", "lemon.toml:2: on_alert", "lemon.toml:3: heartbeat_url",
    ]  # fmt: skip


def test_nothing_given_tells_nobody():
    values = {p.name: None for p in ALERTS} | {"heartbeat_every": 60}
    assert alert_settings(values).targets == ()
    assert alert_settings(values).heartbeat is None
