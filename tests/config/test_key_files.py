"""Keys in an encrypted file and in the system's keyring: where they are looked for first, and every way in which that can fail."""

import base64
import io
import json
import sys
import types

import pytest
from nacl.signing import SigningKey

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.keys import keys_are_present, keys_for_live
from lemon_trader.config.keys_box import seal, unseal

SALT = bytes(range(16))
WORDS = "a long enough one"


def pair(first):
    seed = bytes(range(first, first + 32))
    return base64.b64encode(bytes(SigningKey(seed).verify_key)).decode(), base64.b64encode(seed).decode()


BOXED, NAMED, RINGED, PLAIN, SET = (pair(n) for n in range(5))


def box(path, keys=BOXED, words=WORDS, mode=0o600):
    path.write_bytes(seal(*keys, words, SALT, ops=1, memory_bytes=8192))
    path.chmod(mode)
    return path


@pytest.fixture
def ring(monkeypatch):
    """The library as its documentation has it, over a dictionary."""
    held = {("lemon-trader", "main api-key"): RINGED[0], ("lemon-trader", "main secret-key"): RINGED[1]}
    errors = types.ModuleType("keyring.errors")
    errors.KeyringError = type("KeyringError", (Exception,), {})
    library = types.ModuleType("keyring")
    library.errors, library.get_password = errors, lambda service, user: held.get((service, user))
    monkeypatch.setitem(sys.modules, "keyring", library)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    return library


def refused(environment, dotenv, **flags):
    with pytest.raises(BadSetting) as raised:
        keys_for_live(flags, environment, dotenv)
    return raised.value


def test_what_was_sealed_is_opened_by_its_passphrase_alone():
    text = seal(*BOXED, WORDS, SALT, ops=1, memory_bytes=8192)
    assert unseal(text, WORDS, "x") == BOXED
    assert not [s for s in (*BOXED, WORDS) if s.encode() in text]
    with pytest.raises(BadSetting) as raised:
        unseal(text, WORDS + " ", "x")
    assert raised.value.key == "keys.wrong-passphrase"
    assert raised.value.__cause__ is None


def test_a_key_file_is_slow_to_guess_where_nobody_says_otherwise():
    said = json.loads(seal(*BOXED, WORDS, SALT))
    assert (said["kdf"], said["ops"], said["memory_bytes"]) == ("argon2id", 3, 256 * 1024 * 1024)


CHANGED = [
    ("another format", {"format": "x"}, "keys.not-a-box"),
    ("a gigabyte and more", {"memory_bytes": 1 << 40}, "keys.not-a-box"),
    ("no work at all", {"ops": 0}, "keys.not-a-box"),
    ("a short salt", {"salt": "AAAA"}, "keys.not-a-box"),
    ("not base64", {"box": "%%%"}, "keys.not-a-box"),
    ("an empty box", {"box": ""}, "keys.wrong-passphrase"),
    ("one bit", {"box": None}, "keys.wrong-passphrase"),
]


@pytest.mark.parametrize(("change", "key"), [c[1:] for c in CHANGED], ids=[c[0] for c in CHANGED])
def test_a_key_file_that_was_changed_is_refused(change, key):
    said = json.loads(seal(*BOXED, WORDS, SALT, ops=1, memory_bytes=8192))
    if change == {"box": None}:
        body = bytearray(base64.b64decode(said["box"]))
        body[-1] ^= 1
        change = {"box": base64.b64encode(body).decode()}
    with pytest.raises(BadSetting) as raised:
        unseal(json.dumps(said | change).encode(), WORDS, "x")
    assert raised.value.key == key


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"\xff", b'{"salt": 1}'])
def test_another_kind_of_file_is_refused(text):
    with pytest.raises(BadSetting, match="not-a-box"):
        unseal(text, WORDS, "x")


def test_the_first_place_that_has_them_is_believed(tmp_path, ring):
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"API_KEY={PLAIN[0]}\nSECRET_KEY={PLAIN[1]}\n")
    dotenv.chmod(0o600)
    box(tmp_path / "keys.box")
    named = box(tmp_path / "named.box", NAMED)
    environment = {"API_KEY": SET[0], "SECRET_KEY": SET[1], "KEY_FILE": str(named), "KEY_RING": "main", "KEY_PASSPHRASE": WORDS}

    def source():
        found = keys_for_live({}, environment, dotenv)
        return found.api_key, found.secret_key.reveal()

    assert source() == SET
    del environment["API_KEY"], environment["SECRET_KEY"]
    assert source() == NAMED
    del environment["KEY_FILE"]
    assert source() == RINGED
    del environment["KEY_RING"]
    assert source() == BOXED
    (tmp_path / "keys.box").unlink()
    assert source() == PLAIN
    assert keys_for_live({"api_key": SET[0], "secret_key": SET[1]}, {"KEY_FILE": "nowhere"}, dotenv).api_key == SET[0]


@pytest.mark.parametrize("environment", [{"KEY_FILE": "x"}, {"KEY_RING": "x"}])
def test_a_place_that_is_named_is_a_key_that_is_present(tmp_path, environment):
    assert keys_are_present({}, environment, tmp_path / ".env")
    assert not keys_are_present({}, {"KEY_PASSPHRASE": "x"}, tmp_path / ".env")
    box(tmp_path / "keys.box", mode=0)
    assert keys_are_present({}, {}, tmp_path / ".env"), "it is not opened to find out"


def test_a_passphrase_is_typed_where_somebody_sits_and_refused_where_nobody_does(tmp_path, monkeypatch):
    dotenv = tmp_path / ".env"
    path = box(tmp_path / "keys.box")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert refused({}, dotenv).key == "keys.no-passphrase"
    sys.stdin.isatty = lambda: True
    monkeypatch.setattr("getpass.getpass", lambda prompt: WORDS if str(path) in prompt else "")
    assert keys_for_live({}, {}, dotenv).api_key == BOXED[0]


def test_each_refusal_names_the_place_and_the_way_out(tmp_path, ring, monkeypatch):
    dotenv = tmp_path / ".env"
    environment = {"KEY_PASSPHRASE": WORDS, "KEY_FILE": str(tmp_path / "nowhere.box")}
    assert refused(environment, dotenv).key == "keys.unreadable"
    environment["KEY_FILE"] = str(box(tmp_path / "loose.box", mode=0o644))
    assert refused(environment, dotenv).values["command"] == f"chmod 600 {tmp_path / 'loose.box'}"
    assert refused({"KEY_RING": "other"}, dotenv).values["command"] == 'keyring set lemon-trader "other api-key"'

    def locked(*_):
        raise ring.errors.KeyringError("secret inside")

    ring.get_password = locked
    said = refused({"KEY_RING": "main"}, dotenv)
    assert said.key == "keys.ring-locked"
    assert "secret inside" not in str(said.values)
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "requirements-keyring.txt" in str(refused({"KEY_RING": "main"}, dotenv).values)
