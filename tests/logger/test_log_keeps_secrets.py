"""The log keeps its bound, its lines and every secret."""

import base64
import errno
import json
import logging
import string
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fake_store import Disk

from lemon_trader.logger import FILE, HIDDEN, NOTES_MAX, LibraryHandler, Log, Redactor, safe

NOW = 1_788_523_200_000_000  # 2026-09-04 12:00:00 UTC
SEED = bytes((i * 89 + 41) % 256 for i in range(32))
SECRET = base64.b64encode(SEED).decode()


def log(disk: Disk | None = None, **options) -> tuple[Log, list[str]]:
    shown: list[str] = []
    made = Log(
        disk.store() if disk else None, mode=options.pop("mode", "sandbox"), wall_us=lambda: NOW,
        redactor=options.pop("redactor", Redactor([SECRET])), console=shown.append, **options,
    )  # fmt: skip
    return made, shown


def written(disk: Disk) -> bytes:
    return b"".join(bytes(image.data) for image in disk.files.values())


def lines(disk: Disk, name: str = FILE) -> list[dict]:
    return [json.loads(line) for line in bytes(disk.files[name].data).decode().splitlines()]


def leaks(text: str) -> list[str]:
    """Every form of the secret, and every eight characters of one, that `text` contains; written apart from the code it judges."""
    forms = [SECRET, SEED.hex(), SEED.hex().upper(), base64.urlsafe_b64encode(SEED).decode(), quote(SECRET, safe=""), quote(SECRET)]
    forms += [base64.b64encode(SECRET.encode()).decode(), base64.urlsafe_b64encode(SECRET.encode()).decode(), SECRET.encode().hex()]
    return [form[i : i + 8] for form in forms for i in range(len(form) - 7) if form[i : i + 8] in text]


# ---- secrets ----

PLACES = [
    ("as a value", lambda made: made.info("start", secret=SECRET)),
    ("in the event", lambda made: made.info(f"key {SECRET} refused")),
    ("as a name", lambda made: made.info("start", **{SECRET: 1})),
    ("in hex", lambda made: made.info("start", seed=SEED.hex())),
    ("in hex, upper case", lambda made: made.info("start", seed=SEED.hex().upper())),
    ("as bytes", lambda made: made.info("start", seed=SEED)),
    ("in base64 once more", lambda made: made.info("start", seed=base64.b64encode(SECRET.encode()).decode())),
    ("in a header of basic authentication", lambda made: made.info("x", h=base64.b64encode(f"me:{SECRET}".encode()).decode())),
    ("url-safe", lambda made: made.info("start", seed=base64.urlsafe_b64encode(SEED).decode())),
    ("in percent signs", lambda made: made.info("start", url=f"https://x/?key={quote(SECRET, safe='')}&a=1")),
    ("its first eight characters", lambda made: made.info("start", key=SECRET[:8] + "…")),
    ("its last eight characters", lambda made: made.info("start", key="…" + SECRET[-8:])),
    ("eight from the middle", lambda made: made.info("start", key=f"x{SECRET[13:21]}y")),
    ("in a nested thing", lambda made: made.info("start", config={"keys": [SECRET, {"deep": SEED.hex()}]})),
    ("cut by the length bound", lambda made: made.info("start", long="a" * 980 + SECRET)),
    ("twice in a row", lambda made: made.info(SECRET + SECRET)),
    ("between markers of direction", lambda made: made.info(f"\u202e{SECRET}\u202c")),
]


@pytest.mark.parametrize(("place", "say"), PLACES, ids=[p for p, _ in PLACES])
def test_a_secret_is_in_no_byte_written(place, say):
    disk = Disk()
    made, shown = log(disk, level="debug", console_level="debug")
    say(made.logger("engine"))
    made.close()
    assert shown, place
    for text in (written(disk).decode(), *shown):
        assert not leaks(text), place
        assert HIDDEN in text, place


def test_a_secret_in_an_error_and_its_traceback_is_in_no_byte_written():
    disk = Disk()
    made, shown = log(disk)
    try:
        int(f"signing with {SECRET} failed: {SEED!r}")
    except ValueError:
        made.logger("engine").exception("could not sign")
    text = written(disk).decode() + "".join(shown)
    assert not leaks(text)
    assert "Traceback" in lines(disk)[0]["exception"]
    assert "could not sign | ValueError: invalid literal" in shown[0]


def test_libraries_are_cleaned_as_well():
    disk = Disk()
    made, shown = log(disk)
    library = logging.getLogger("somebody.else")
    handler = LibraryHandler(made)
    library.addHandler(handler)
    library.propagate = False
    try:
        library.warning("connecting with %s", SECRET)
        library.warning("a broken %d format", "text")
        library.info("not of interest")
    finally:
        library.removeHandler(handler)
    made.close()
    assert not leaks(written(disk).decode() + "".join(shown))
    assert [line["logger"] for line in lines(disk)] == ["somebody.else"] * 2


ALPHABET = st.text(string.ascii_letters + string.digits + "+/=", min_size=8, max_size=60)


@settings(max_examples=150, deadline=None)
@given(ALPHABET, st.text(max_size=30), st.text(max_size=30), st.integers(0, 50), st.integers(8, 60))
def test_no_eight_characters_of_any_secret_pass(secret, before, after, start, length):
    part = secret[start : start + length]
    cleaned = Redactor([secret]).clean(before + part + after)
    assert not any(secret[i : i + 8] in cleaned for i in range(len(secret) - 7))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_what_is_no_secret_passes_unchanged(text):
    assert Redactor([SECRET]).clean(text) == text


def test_a_short_secret_is_hidden_whole():
    assert Redactor(["pass1"]).clean("password pass1!") == "password ***!"


def test_a_secret_that_comes_later_is_known_from_then_on():
    redactor = Redactor()
    disk = Disk()
    made, _ = log(disk, redactor=redactor)
    redactor.add(SECRET)
    made.logger("x").info("start", key=SECRET)
    made.close()
    assert not leaks(written(disk).decode())


# ---- other people's text ----

HOSTILE = [
    ("a line end", "a\nb\r\nc", r"a\x0ab\x0d\x0ac"),
    ("an escape sequence", "\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
    ("eight-bit controls", "\x9b31m\x85", r"\x9b31m\x85"),
    ("marks of direction", "\u202eevil\u2066x", r"\u202eevil\u2066x"),
    ("separators of lines", "a\u2028b\u2029c", r"a\u2028b\u2029c"),
    ("half a character", "\ud800", r"\ud800"),
    ("an invisible plane", "\U000e0041", r"\U000e0041"),
    ("words in Chinese stay as they are", "停損 100%", "停損 100%"),
]


@pytest.mark.parametrize(("case", "text", "expected"), HOSTILE, ids=[case for case, _, _ in HOSTILE])
def test_other_peoples_text_is_inert(case, text, expected):
    disk = Disk()
    made, shown = log(disk, console_level="info")
    made.logger("x").info(text, **{f"k{text}": text})
    made.close()
    (line,) = lines(disk)
    assert line["event"] == expected, case
    assert line[f"k{expected}"] == expected
    assert len(shown) == 1
    assert shown[0].isprintable()


def test_long_values_and_many_fields_are_cut_with_a_note():
    assert safe("x" * 1_005) == "x" * 1_000 + "…(+5)"
    disk = Disk()
    made, _ = log(disk)
    made.logger("x").info("y" * 10**6, **{f"f{n}": "z" * 10**5 for n in range(100)})
    made.close()
    assert len(written(disk)) < 50_000


# ---- the file ----


def test_every_line_says_when_in_which_mode_and_how_grave():
    disk = Disk()
    made, shown = log(disk, mode="live")
    made.logger("engine").warning("feed lost", reason="timeout", age_us=5)
    made.close()
    about = {"at": "2026-09-04T12:00:00.000000Z", "mode": "live", "level": "warning", "event": "feed lost", "logger": "engine"}
    assert lines(disk) == [{**about, "reason": "timeout", "age_us": 5}]
    assert shown == ["12:00:00 LIVE WARNING  feed lost reason=timeout age_us=5"]


def test_nothing_is_written_while_an_order_is_on_its_way():
    disk = Disk()
    made, shown = log(disk, console_level="info")
    made.logger("engine").info("placed")
    assert (disk.calls, shown) == ({}, [])
    made.flush()
    assert len(lines(disk)) == len(shown) == 1


def test_an_error_is_written_at_once():
    disk = Disk()
    made, _ = log(disk)
    made.logger("engine").error("broken")
    assert lines(disk)[0]["event"] == "broken"


def test_levels_choose_what_goes_where():
    disk = Disk()
    made, shown = log(disk, level="info", console_level="warning")
    logger = made.logger("x")
    for name in ("debug", "info", "warning"):
        getattr(logger, name)(name)
    made.close()
    assert [line["event"] for line in lines(disk)] == ["info", "warning"]
    assert len(shown) == 1


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 900), st.booleans()), min_size=20, max_size=120))
def test_the_log_never_grows_beyond_its_bound_and_keeps_the_newest(script):
    disk = Disk()
    made, _ = log(disk, file_bytes_max=2_000, files_kept=2)
    for n, (length, now) in enumerate(script):
        made.logger("x").info(f"line {n}", text="x" * length)
        if now:
            made.flush()
    made.close()
    names = [name for name in (f"{FILE}.2", f"{FILE}.1", FILE) if name in disk.files]
    assert set(disk.files) == set(names)
    assert all(len(disk.files[name].data) <= 2_000 for name in names)
    kept = [line["event"] for name in names for line in lines(disk, name)]
    assert kept == [f"line {n}" for n in range(len(script) - len(kept), len(script))]


def test_a_restart_appends_and_knows_how_long_the_file_is():
    disk = Disk()
    for _ in range(3):
        made, _shown = log(disk, file_bytes_max=400, files_kept=1)
        for n in range(3):
            made.logger("x").info(f"line {n}")
        made.close()
    assert all(len(image.data) <= 400 for image in disk.files.values())
    assert len(disk.files) == 2


def test_a_full_disk_costs_lines_that_are_counted_and_told():
    disk = Disk()
    made, _ = log(disk)
    made.logger("x").info("one")
    made.flush()
    disk.free_bytes = 20
    for n in range(3):
        made.logger("x").info(f"lost {n}")
        made.flush()
    disk.free_bytes = None
    made.logger("x").info("two")
    made.close()
    text = bytes(disk.files[FILE].data).decode().splitlines()
    whole = [json.loads(line) for line in text if line.endswith("}") and line.startswith("{")]
    assert [line["event"] for line in whole] == ["one", "log lines were lost", "two"]
    assert whole[1]["count"] == 3
    assert made.lost == 0


def test_a_disk_that_never_works_is_no_reason_to_stop():
    disk = Disk(fail=lambda _act, _name: OSError(errno.EROFS, "Read-only file system"))
    made, shown = log(disk)
    made.logger("x").error("seen on the console")
    made.flush()
    assert made.lost == 1
    assert len(shown) == 1


def test_too_many_notes_are_dropped_and_counted():
    disk = Disk()
    made, _ = log(disk)
    for _ in range(NOTES_MAX + 5):
        made.note("info", "storm", {})
    assert made.lost == 5
    made.flush()
    assert json.loads(bytes(disk.files[FILE].data).split(b"\n", 1)[0])["count"] == 5
