"""Who signs, and who checks: ED25519 as Backpack wants it, HMAC-SHA256 behind the same port.

A secret goes in once and never comes out: not by `repr`, `str`, `vars`, `pickle` or an error's text. A signer signs only the instructions
it was made for, so no fault elsewhere can make it sign a withdrawal.
"""

import binascii
import hmac
import re
from collections.abc import Collection
from typing import Any, Final

from nacl import bindings
from nacl.exceptions import BadSignatureError, CryptoError

ED25519: Final = "ed25519"
HMAC_SHA256: Final = "hmac-sha256"
BASE64_PREFIX: Final = "base64:"
_SEED_BYTES: Final = 32
_PAIR_BYTES: Final = 64
_SIGNATURE_BYTES: Final = 64
_DIGEST_BYTES: Final = 32
_HMAC_BYTES_MIN: Final = 16
_INSTRUCTION: Final = re.compile(rb"(?:^|&)instruction=([^&]*)")
_HEX: Final = re.compile(r"(?:0x)?(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{128})")
_WITHHELD: Final = "***"


class SecretError(ValueError):
    """A key or secret that cannot be used. The text names the format and the way out, and repeats nothing of the secret."""


class SigningError(ValueError):
    """A text that this signer may not sign."""


class _Sealed:
    """What holds a secret and shows none of it."""

    __slots__ = ("_key", "_name", "_signable")
    _key: bytes
    _name: str
    _signable: frozenset[bytes]

    def _seal(self, key: bytes, name: str, signable: Collection[str]) -> None:
        self._key = key
        self._name = name
        self._signable = frozenset(word.encode() for word in signable)

    @property
    def api_key(self) -> str:
        """The public name of the key."""
        return self._name

    def _check(self, text: bytes) -> None:
        # The way of nearly every request: one instruction at the front, and the same again wherever a batch says one. Else a closer look.
        end = text.find(b"&")
        if (
            text[12:end] in self._signable
            and text.startswith(b"instruction=")
            and text.count(b"instruction=") == text.count(text[: end + 1])
        ):
            return
        words = _INSTRUCTION.findall(text)
        if not text.startswith(b"instruction=") or not self._signable.issuperset(words):
            shown = ", ".join(sorted({word.decode(errors="replace")[:40] for word in words})) or "no instruction"
            raise SigningError(f"this key does not sign {shown}; it signs single orders, cancels, reads and streams only")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(api_key={self._name!r}, secret={_WITHHELD})"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        # What is pickled (by a crash dump, a process pool) is the text above: a key does not leave its process.
        return str, (repr(self),)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self


class Ed25519Signer(_Sealed):
    """Signs with an ED25519 key; its public half is the API key."""

    __slots__ = ()

    def __init__(self, secret: str, *, signable: Collection[str], api_key: str | None = None) -> None:
        """Take the secret in: base64 of the 32-byte seed, or of seed and public key (64 bytes).

        Args:
            secret: as the exchange shows it when a key is made.
            signable: names of the instructions this signer may sign.
            api_key: when given, must be the public half of `secret`.

        Raises:
            SecretError: another format, halves that do not belong together, or another key's API key.
        """
        raw = _bytes_of_base64(secret)
        if len(raw) not in {_SEED_BYTES, _PAIR_BYTES}:
            raise SecretError(
                f"the secret decodes to {len(raw)} bytes; Backpack's is base64 of the 32-byte ED25519 seed (44 characters) "
                "or of seed and public key, 64 bytes (88 characters). Copy it again from the exchange's API key page"
            )
        public, pair = bindings.crypto_sign_seed_keypair(raw[:_SEED_BYTES])
        if len(raw) == _PAIR_BYTES and raw[_SEED_BYTES:] != public:
            raise SecretError(
                "the two halves of the 64-byte secret do not belong together; copy it again, or give the first 32 bytes alone"
            )
        name = _base64(public)
        if api_key is not None and api_key.strip() != name:
            raise SecretError(f"the API key given is not the public half of the secret, which is {name}; copy both from the same row")
        self._seal(pair, name, signable)

    def sign(self, text: bytes) -> str:
        """The signature of `text`, base64. Raises SigningError."""
        self._check(text)
        return _base64(bindings.crypto_sign(text, self._key)[:_SIGNATURE_BYTES])


class HmacSha256Signer(_Sealed):
    """Signs with a secret shared with the exchange."""

    __slots__ = ()

    def __init__(self, api_key: str, secret: str, *, signable: Collection[str]) -> None:
        """Take the secret in: text as it stands, or `base64:` and the base64 of its bytes; at least 16 bytes.

        Raises:
            SecretError: an empty API key, a short secret, or bad base64 after the prefix.
        """
        self._seal(_shared_secret(secret), _name(api_key), signable)

    def sign(self, text: bytes) -> str:
        """The signature of `text`, base64. Raises SigningError."""
        self._check(text)
        return _base64(hmac.digest(self._key, text, "sha256"))


class Ed25519Verifier:
    """Checks what an `Ed25519Signer` signed; holds the public key alone."""

    __slots__ = ("_public", "api_key")

    def __init__(self, api_key: str) -> None:
        """Take the public key, base64 of 32 bytes. Raises SecretError."""
        self._public = _decoded(api_key) or b""
        if len(self._public) != _SEED_BYTES:
            raise SecretError(f"API key {api_key[:60]!r} is not base64 of a 32-byte ED25519 public key (44 characters)")
        self.api_key = api_key

    def reads(self, signature: str) -> bool:
        """Whether the text can be a signature at all, whosoever's: base64 of 64 bytes."""
        return _signature_bytes(signature, _SIGNATURE_BYTES) is not None

    def verify(self, text: bytes, signature: str) -> bool:
        """Whether `signature` (base64) is this key's for `text`; False for anything malformed."""
        raw = _signature_bytes(signature, _SIGNATURE_BYTES)
        if raw is None:
            return False
        try:
            bindings.crypto_sign_open(raw + text, self._public)
        except (BadSignatureError, CryptoError):
            return False
        return True

    def __repr__(self) -> str:
        return f"Ed25519Verifier(api_key={self.api_key!r})"


class HmacSha256Verifier(_Sealed):
    """Checks what an `HmacSha256Signer` with the same secret signed."""

    __slots__ = ()

    def __init__(self, api_key: str, secret: str) -> None:
        """Take the shared secret, written as the signer takes it. Raises SecretError."""
        self._seal(_shared_secret(secret), _name(api_key), ())

    def reads(self, signature: str) -> bool:
        """Whether the text can be a signature at all, whosoever's: base64 of 32 bytes."""
        return _signature_bytes(signature, _DIGEST_BYTES) is not None

    def verify(self, text: bytes, signature: str) -> bool:
        """Whether `signature` (base64) is this secret's for `text`; False for anything malformed."""
        raw = _signature_bytes(signature, _DIGEST_BYTES)
        return raw is not None and hmac.compare_digest(hmac.digest(self._key, text, "sha256"), raw)


def public_key(secret: str) -> str:
    """The API key that belongs to an ED25519 secret. Raises SecretError."""
    return Ed25519Signer(secret, signable=()).api_key


def _base64(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode("ascii")


def _bytes_of_base64(secret: str) -> bytes:
    text = secret.strip()
    if not text:
        raise SecretError("the secret is empty; it is base64 of the 32-byte ED25519 seed, 44 characters ending in '='")
    raw = None if _HEX.fullmatch(text) else _decoded(text)  # hexadecimal would pass as base64 of other bytes
    if raw is None:
        raise SecretError(
            f"the secret ({len(text)} characters) cannot be read: {_shape_of(text)}; wanted is base64 of the 32-byte ED25519 seed, "
            "44 characters ending in '='. Copy it again from the exchange's API key page"
        )
    return raw


def _decoded(text: str) -> bytes | None:
    """The bytes that base64 `text` spells, None when it is none; nothing of the text gets into an exception's chain."""
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError:  # also what is not ASCII
        return None


def _shape_of(text: str) -> str:
    """What is wrong with a secret, told by its shape alone."""
    if _HEX.fullmatch(text):
        return "it looks like hexadecimal"
    if re.fullmatch(r"[A-Za-z0-9_-]+=*", text) and ("-" in text or "_" in text):
        return "it is in the URL-safe alphabet (- and _ where + and / are wanted)"
    if text[0] == text[-1] and text[0] in "\"'":
        return "it stands in quotes"
    return "it is not base64"


def _shared_secret(secret: str) -> bytes:
    text = secret.strip()
    encoded = text.startswith(BASE64_PREFIX)
    raw = (_decoded(text.removeprefix(BASE64_PREFIX)) or b"") if encoded else text.encode()
    if len(raw) < _HMAC_BYTES_MIN:
        raise SecretError(
            f"an HMAC-SHA256 secret has at least {_HMAC_BYTES_MIN} bytes, this one reads as {len(raw)}; "
            f"give it as plain text, or as {BASE64_PREFIX} followed by base64"
        )
    return raw


def _name(api_key: str) -> str:
    name = api_key.strip()
    if not name or not name.isascii() or not name.isprintable():
        raise SecretError("the API key is empty or holds characters that cannot stand in a header; copy it again")
    return name


def _signature_bytes(signature: str, length: int) -> bytes | None:
    raw = _decoded(signature)
    return raw if raw is not None and len(raw) == length else None
