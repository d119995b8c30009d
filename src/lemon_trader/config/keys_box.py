"""The encrypted key file: a passphrase stretched by argon2id, a key pair in a secret box. Bytes in, bytes out; `keys.py` reads the file."""

import base64
import binascii
import json
from typing import Any, Final

from lemon_trader.config.errors import BadSetting

FORMAT: Final = "lemon-trader keys 1"
SALT_BYTES: Final = 16
KEY_BYTES: Final = 32
OPS: Final = 3
MEMORY_BYTES: Final = 256 * 1024 * 1024  # most of a second on one core: what a guess costs
OPS_MAX: Final = 20
MEMORY_MAX: Final = 1024 * 1024 * 1024  # a file that wants more was not written by us
PASSPHRASE_MIN: Final = 8  # characters


def seal(api_key: str, secret: str, passphrase: str, salt: bytes, *, ops: int = OPS, memory_bytes: int = MEMORY_BYTES) -> bytes:
    """The text of a key file. `salt`: 16 random bytes, new for each file."""
    from nacl.secret import SecretBox  # noqa: PLC0415  only who keeps keys pays for it

    assert len(salt) == SALT_BYTES
    box = SecretBox(_stretched(passphrase, salt, ops, memory_bytes))
    body = box.encrypt(json.dumps({"api_key": api_key, "secret_key": secret}).encode())
    shown = {
        "format": FORMAT, "kdf": "argon2id", "ops": ops, "memory_bytes": memory_bytes,
        "salt": base64.b64encode(salt).decode(), "box": base64.b64encode(body).decode(),
    }  # fmt: skip
    return json.dumps(shown, indent=1).encode() + b"\n"


def unseal(text: bytes, passphrase: str, source: str) -> tuple[str, str]:
    """(API key, secret) of a key file that is called `source`. Raises BadSetting: not such a file, or another passphrase."""
    from nacl.exceptions import CryptoError  # noqa: PLC0415
    from nacl.secret import SecretBox  # noqa: PLC0415

    try:
        said: dict[str, Any] = json.loads(text)
        salt, body = (base64.b64decode(said[name], validate=True) for name in ("salt", "box"))
        ops, memory_bytes = int(said["ops"]), int(said["memory_bytes"])
        known = said["format"] == FORMAT and said["kdf"] == "argon2id" and len(salt) == SALT_BYTES
    except (ValueError, TypeError, KeyError, binascii.Error) as error:
        raise BadSetting("keys.not-a-box", file=source) from error
    if not known or not 1 <= ops <= OPS_MAX or not 8192 <= memory_bytes <= MEMORY_MAX:
        raise BadSetting("keys.not-a-box", file=source)
    try:
        pair = json.loads(SecretBox(_stretched(passphrase, salt, ops, memory_bytes)).decrypt(body))
        return str(pair["api_key"]), str(pair["secret_key"])
    except CryptoError:
        # The cause is left out: nothing of what was tried may stand in a traceback.
        raise BadSetting("keys.wrong-passphrase", file=source) from None
    except (ValueError, TypeError, KeyError):
        raise BadSetting("keys.not-a-box", file=source) from None


def _stretched(passphrase: str, salt: bytes, ops: int, memory_bytes: int) -> bytes:
    from nacl.pwhash import argon2id  # noqa: PLC0415

    return argon2id.kdf(KEY_BYTES, passphrase.encode(), salt, opslimit=ops, memlimit=memory_bytes)
