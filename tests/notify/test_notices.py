"""What leaves the program: every alert has its kind, its account and its mode, and no secret."""

import json

import pytest
from tests.messages.test_catalogues import EN

from lemon_trader.config.alerts import EVENTS
from lemon_trader.core.state import Alert
from lemon_trader.logger import Redactor
from lemon_trader.notify.notice import EVENT_OF, event_of, likeness, notice_of

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ="
AT = 1_790_000_000_123_456


def alert(key="alert.venue_status", grade="warn", **values):
    return Alert(AT, key, grade, {k: str(v) for k, v in values.items()})


def made(told, **more):
    return notice_of(told, **({"mode": "live", "account": "main", "redactor": Redactor([SECRET]), "silent": False} | more))


def test_every_alert_that_can_be_told_has_its_kind():
    told = {key for key in EN if key.startswith("alert.")} - {"alert.repeated"}
    assert told == set(EVENT_OF)


def test_every_kind_is_told_by_some_alert_and_every_alert_is_of_a_known_kind():
    assert set(EVENT_OF.values()) == set(EVENTS)


def test_an_alert_that_nobody_listed_is_told_as_a_fault():
    assert event_of("alert.of_the_next_version") == "fault"


def test_a_notice_says_mode_account_time_and_figures():
    notice = made(alert("alert.stop_done", symbol="SOL_USDC", realised="-12.5", quote="USDC"))
    assert notice.text == "[LIVE main] SOL_USDC: the stop has closed the position; it realised -12.5 USDC."
    assert (notice.event, notice.at) == ("stop_loss", "2026-09-21T14:13:20.123Z")
    body = json.loads(notice.as_json())
    assert body["program"] == "lemon-trader"
    assert body["values"]["realised"] == "-12.5"
    assert body["text"] == notice.text


@pytest.mark.parametrize("leak", [SECRET, SECRET[4:30], "key=" + SECRET.encode().hex()])
def test_no_spelling_of_a_secret_leaves_in_any_form(leak):
    notice = made(alert("alert.refused_account", code="X", message=f"bad {leak}"))
    for out in (notice.as_json().decode(), json.dumps(notice.as_environment())):
        assert leak not in out
        assert "***" in out


def test_an_environment_is_text_and_its_values_are_json():
    found = made(alert("alert.fill", symbol="SOL_USDC", price="1"), silent=True, repeats=3).as_environment()
    assert all(isinstance(v, str) for v in found.values())
    assert (found["LEMON_ALERT_SILENT"], found["LEMON_ALERT_REPEATS"], found["LEMON_ALERT_EVENT"]) == ("true", "3", "fill")
    assert json.loads(found["LEMON_ALERT_VALUES"]) == {"symbol": "SOL_USDC", "price": "1"}


def test_a_long_word_of_somebody_else_is_cut_and_cannot_break_a_line():
    notice = made(alert("alert.refused_account", code="X", message="a\nb\x1b[31m" + "c" * 5_000))
    assert len(notice.text) < 400
    assert notice.text.isprintable()


LIKES = [
    ("figures alone", alert("alert.refused_again", symbol="A", code="X", count=3), alert("alert.refused_again", symbol="A", code="X", count=9), True),
    ("another market", alert("alert.unknown_long", symbol="A"), alert("alert.unknown_long", symbol="B"), False),
    ("another source", alert("alert.feed_lost", source="public"), alert("alert.feed_lost", source="private"), False),
    ("another key", alert("alert.feed_lost", source="public"), alert("alert.feed_back", source="public"), False),
]  # fmt: skip


@pytest.mark.parametrize(("says", "one", "other", "same"), LIKES, ids=[case[0] for case in LIKES])
def test_what_makes_two_alerts_alike(says, one, other, same):
    assert (likeness(one) == likeness(other)) is same
