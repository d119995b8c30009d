"""What all strangers' sessions share: they read the readiness lines, check values, and stop at the first that is wrong.

Plain Python without the project: it runs in an environment where only the clients are installed.
"""

import json
import sys
import time
import urllib.request

from loopback_only import stay_on_loopback

SPOT, PERP = "SOL_USDC", "SOL_USDC_PERP"
MADE = []  # names of the checks that were made


def begin():
    """The two sandboxes of a session: one whose market lives, and one whose books hold nothing but what the session puts there."""
    stay_on_loopback()
    alive, still = json.loads(sys.stdin.readline()), json.loads(sys.stdin.readline())
    for symbol, some in ((SPOT, 5), (PERP, 1)):  # a market that begins has no last price yet
        until(f"{symbol} trades", lambda symbol=symbol: _trades(alive["rest_url"], symbol), lambda rows, some=some: len(rows) >= some, 60)
    return alive, still


def _trades(rest_url, symbol):
    with urllib.request.urlopen(f"{rest_url}/api/v1/trades?symbol={symbol}") as answer:
        return json.load(answer)


def check(what, is_right, value=""):
    """Stop here when something is not as the client's users expect."""
    MADE.append(what)
    if not is_right:
        print("BAD", what, json.dumps(value, default=str)[:2_000])
        sys.exit(1)


def equal(what, found, expected):
    check(what, found == expected, {"found": found, "expected": expected})


def refused(what, call, kind, text):
    """Check that a call raises this kind of error with this text."""
    try:
        value = call()
    except kind as error:
        check(what, text in str(error), str(error))
    else:
        check(what, is_right=False, value=value)


def until(what, look, is_it, seconds=20):
    """Look until it is so; the last look."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if is_it(found):
            MADE.append(what)
            return found
        if time.monotonic() > end:
            check(what, is_right=False, value=found)
        time.sleep(0.05)


def all_called(whose, offered, called, left_out):
    """Check that a session has used everything a client offers, and left out no more than is named."""
    equal(f"every call of {whose}", sorted(set(offered) - set(called)), sorted(left_out))


def done(name):
    print(f"{name}: {len(MADE)} checks")
