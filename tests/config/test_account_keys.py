"""Keys are read for a live start and for nothing else; what is wrong with them is said without showing them."""

import ast
import base64
import os
import pickle
from pathlib import Path

import pytest
from nacl.signing import SigningKey
from tests.config.declared import STRATEGIES
from tests.shape.sources import sources

from lemon_trader.config import keys
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.keys import keys_are_present, keys_for_live, read_dotenv
from lemon_trader.config.resolve import Request, preview, resolve
from lemon_trader.config.sandbox import resolve_demo, resolve_sandbox
from lemon_trader.config.settings import LIVE, PAPER, SANDBOX, Secret
from lemon_trader.messages.catalogue import say

PAIR = ("quoter:SOL_USDC",)
SEED = bytes(range(32))
SECRET = base64.b64encode(SEED).decode()
API = base64.b64encode(bytes(SigningKey(SEED).verify_key)).decode()
OTHER = base64.b64encode(bytes(32)).decode()


@pytest.fixture
def dotenv(tmp_path):
    def write(text, mode=0o600):
        path = tmp_path / ".env"
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    return write


def test_a_secret_never_shows_itself():
    secret = Secret("tell-nobody")
    for text in (str(secret), repr(secret), f"{secret}", f"{secret:>20}", f"{secret}", repr([secret])):
        assert "tell-nobody" not in text
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    assert secret.reveal() == "tell-nobody"


SOURCES = [
    ("flags", {"api_key": API, "secret_key": SECRET}, {}, "", "--api-key, --secret-key"),
    ("environment", {}, {"API_KEY": API, "SECRET_KEY": SECRET}, "", "environment"),
    ("the exchange's own names", {}, {"BACKPACK_KEY": API, "BACKPACK_SECRET": SECRET}, "", "environment"),
    (
        "flag over environment",
        {"api_key": API, "secret_key": SECRET},
        {"API_KEY": OTHER, "SECRET_KEY": OTHER},
        "",
        "--api-key, --secret-key",
    ),
    (".env", {}, {}, f"# keys\nAPI_KEY={API}\nexport SECRET_KEY='{SECRET}'\n", ".env"),
    ("environment over .env", {}, {"API_KEY": API, "SECRET_KEY": SECRET}, "API_KEY=x\nSECRET_KEY=y\n", "environment"),
]


@pytest.mark.parametrize(("flags", "environment", "text", "source"), [case[1:] for case in SOURCES], ids=[case[0] for case in SOURCES])
def test_where_keys_come_from(dotenv, tmp_path, flags, environment, text, source):
    path = dotenv(text) if text else tmp_path / ".env"
    found = keys_for_live(flags, environment, path)
    assert (found.api_key, found.secret_key.reveal()) == (API, SECRET)
    assert found.source.replace(str(tmp_path) + os.sep, "") == source
    assert SECRET not in repr(found)


BAD = [
    ("nothing anywhere", {}, "keys.missing"),
    ("only one half", {"API_KEY": API}, "keys.half"),
    ("the sample of the template", {"API_KEY": "your_api_key", "SECRET_KEY": "your_secret_key"}, "keys.not-base64"),
    ("a key that is cut off", {"API_KEY": API, "SECRET_KEY": base64.b64encode(SEED[:31]).decode()}, "keys.wrong-length"),
    ("both halves swapped", {"API_KEY": SECRET, "SECRET_KEY": API}, "keys.swapped"),
    ("halves of two pairs", {"API_KEY": API, "SECRET_KEY": OTHER}, "keys.not-a-pair"),
]


@pytest.mark.parametrize(("environment", "key"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_keys_that_are_refused(tmp_path, environment, key):
    with pytest.raises(BadSetting) as refused:
        keys_for_live({}, environment, tmp_path / ".env")
    assert refused.value.key == key
    text = say(key, **refused.value.values)
    assert not [value for value in environment.values() if value in text], "a refusal shows no key"


@pytest.mark.skipif(os.name != "posix", reason="permissions of this kind are POSIX's")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622])
def test_a_loose_dotenv_is_refused_with_the_exact_command(dotenv, mode):
    path = dotenv(f"API_KEY={API}\nSECRET_KEY={SECRET}\n", mode)
    with pytest.raises(BadSetting) as refused:
        keys_for_live({}, {}, path)
    assert refused.value.key == "keys.loose"
    assert refused.value.values["command"] == f"chmod 600 {path}"


BAD_FILES = [
    ("a line that is no assignment", b"API_KEY='unclosed\n", "keys.bad-line"),
    ("bytes that are no text", b"\xff\xfe\x00", "keys.not-text"),
    ("a file of a megabyte", b"#" * 1_000_000, "keys.not-text"),
    ("a file without keys", b"COLOUR=blue\n", "keys.missing"),
    ("empty values, as in the template", b"API_KEY=\nSECRET_KEY=\n", "keys.missing"),
]


@pytest.mark.parametrize(("content", "key"), [case[1:] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES])
def test_dotenv_files_that_are_refused(tmp_path, content, key):
    path = tmp_path / ".env"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(BadSetting) as refused:
        keys_for_live({}, {}, path)
    assert refused.value.key == key


def test_a_folder_in_the_place_of_dotenv_is_refused(tmp_path):
    (tmp_path / ".env").mkdir(mode=0o700)
    with pytest.raises(BadSetting) as refused:
        read_dotenv(tmp_path / ".env")
    assert refused.value.key == "keys.unreadable"


def test_a_link_to_nowhere_is_present_and_unreadable(tmp_path):
    (tmp_path / ".env").symlink_to(tmp_path / "gone")
    assert keys_are_present({}, {}, tmp_path / ".env")
    with pytest.raises(BadSetting, match=r"keys\.unreadable"):
        keys_for_live({}, {}, tmp_path / ".env")


class Tripwire(type(Path())):
    """A `.env` that may be seen and may not be opened."""

    def open(self, *args, **kwargs):
        raise AssertionError(".env was opened")


@pytest.fixture
def tripwire(tmp_path):
    (tmp_path / ".env").write_text(f"API_KEY={API}\nSECRET_KEY={SECRET}\n")
    (tmp_path / ".env").chmod(0o600)
    return Tripwire(tmp_path / ".env")


@pytest.mark.parametrize("mode", [PAPER, SANDBOX])
@pytest.mark.parametrize("seed_door", [True, False])
def test_paper_and_sandbox_never_open_dotenv_and_have_no_keys(tripwire, mode, seed_door):
    request = Request(
        flags={mode: "true"}, pairs=PAIR, dotenv=tripwire, seed_door=seed_door, environment={"API_KEY": API, "SECRET_KEY": SECRET}
    )
    settings = resolve(request, STRATEGIES).settings
    assert settings.mode == mode
    assert settings.keys is None


def test_neither_preview_nor_demo_nor_sandbox_nor_a_refused_start_opens_dotenv(tripwire):
    request = Request(pairs=PAIR, dotenv=tripwire)
    preview(request, STRATEGIES)
    resolve_sandbox(Request(dotenv=tripwire))
    resolve_demo(Request(dotenv=tripwire))
    for refused in (request, Request(flags={"live": "true"}, pairs=PAIR, dotenv=tripwire)):
        with pytest.raises(BadSetting):
            resolve(refused, STRATEGIES)


def test_the_tripwire_itself_trips(tripwire):
    with pytest.raises(AssertionError, match="was opened"):
        resolve(Request(flags={"live": "true", "yes": "true"}, pairs=PAIR, dotenv=tripwire), STRATEGIES)


def test_dotenv_is_read_in_one_place_that_is_called_where_live_was_chosen():
    def callers(function):
        return [
            (source.name, node.lineno)
            for source in sources()
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Call) and (getattr(node.func, "id", None) or getattr(node.func, "attr", None)) == function
        ]

    assert [name for name, _ in callers("read_dotenv")] == ["config/keys"]
    assert sorted(name for name, _ in callers("keys_for_live")) == ["cli/init", "cli/running", "config/reach", "config/resolve"]
    readers = [
        s.name
        for s in sources()
        for node in ast.walk(s.tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dotenv")
    ]
    assert readers == ["config/keys"]
    assert "load_dotenv" not in Path(keys.__file__).read_text(encoding="utf-8")


def test_live_has_keys():
    request = Request(flags={"live": "true", "yes": "true"}, pairs=PAIR, environment={"API_KEY": API, "SECRET_KEY": SECRET})
    settings = resolve(request, STRATEGIES).settings
    assert (settings.mode, settings.keys.api_key) == (LIVE, API)
