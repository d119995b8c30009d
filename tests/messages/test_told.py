"""Alerts hold codes, the same in every language; what a person reads of them holds words."""

import pytest

from lemon_trader.messages.catalogue import speak
from lemon_trader.messages.told import say_alert, worded

FILL = {"symbol": "SOL_USDC", "role": "LAYER", "side": "BUY", "quantity": "1", "price": "150", "realised": "0", "held": "1"}
LATCH = {"mode": "HALTED", "reason": "DRAWDOWN", "detail": "81 >= 80"}

CASES = [
    ("a fill", "alert.fill", FILL, ("layer", "buy"), ("層", "買")),
    ("a command", "alert.command_kill", {"origin": "cli", "detail": "enough"}, ("the command line", "enough"), ("命令列", "enough")),
    ("a limit", "alert.latched", LATCH, ("drawdown limit reached, 81 >= 80. Lift",), ("達到回撤上限，81 >= 80。用",)),
    ("a latch of another version", "alert.latched", LATCH | {"reason": "NEWS"}, ("NEWS 81 >= 80",), ("NEWS 81 >= 80",)),
    ("a lost source", "alert.feed_lost", {"source": "private", "seconds": "120", "held": "-"}, ("account stream",), ("帳戶串流",)),
    ("the end of a run", "alert.stopped", {"origin": "signal", "net": "1", "held": "-", "resting": "0"}, ("Ctrl-C",), ("系統訊號",)),
    ("the exchange's own word", "alert.system_order", {"symbol": "S", "origin": "ADL_AUTOCLOSE"}, ("ADL_AUTOCLOSE",), ("ADL_AUTOCLOSE",)),
]
CODES = ("LAYER", "BUY", "HALTED", "DRAWDOWN", "cli", "private")


@pytest.mark.parametrize(("key", "values", "english", "chinese"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_an_alert_is_said_in_words(key, values, english, chinese):
    try:
        for language, words in (("en", english), ("zh-TW", chinese)):
            speak(language)
            text = say_alert(key, values)
            assert all(word in text for word in words), text
            assert language == "en" or not [code for code in CODES if code in text], text
    finally:
        speak("en")


def test_the_codes_themselves_are_left_alone():
    before = dict(FILL)
    worded(FILL)
    assert before == FILL
