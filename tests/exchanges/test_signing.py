"""Signatures: the ten vectors of the exchange's reference, both algorithms, and secrets that stay inside."""

import base64
import copy
import json
import pickle
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey
from tests.exchanges.kit import MARKETS, NOW_MS, PAIR, PUBLIC, SEED, signer

from lemon_trader.core.commands import Cancel, Place
from lemon_trader.core.units import BUY, POST_ONLY
from lemon_trader.exchanges import catalog
from lemon_trader.exchanges.backpack import words
from lemon_trader.exchanges.backpack.client import Backpack
from lemon_trader.exchanges.signers import (
    Ed25519Signer,
    Ed25519Verifier,
    HmacSha256Signer,
    HmacSha256Verifier,
    SecretError,
    SigningError,
    public_key,
)

FIRST = {"symbol": "SOL_USDC_PERP", "side": "Bid", "orderType": "Limit", "price": "141", "quantity": "12"}
SECOND = {"symbol": "SOL_USDC_PERP", "side": "Bid", "orderType": "Limit", "price": "140", "quantity": "11"}
WHOLE = {
    "symbol": "SOL_USDC_PERP",
    "side": "Bid",
    "orderType": "Limit",
    "price": "141.05",
    "quantity": "12.5",
    "timeInForce": "GTC",
    "postOnly": True,
    "clientId": 123456789,
}
FILLS = {"symbol": "SOL_USDC", "fillType": "User", "from": "1750790000000", "limit": "100", "offset": "0"}

# (name, text that we build, text of the reference, signature of the reference)
VECTORS = [
    (
        "V1 open orders of one market",
        words.signed_text("orderQueryAll", {"symbol": "SOL_USDC_PERP", "marketType": "PERP"}, NOW_MS),
        "instruction=orderQueryAll&marketType=PERP&symbol=SOL_USDC_PERP&timestamp=1750793021519&window=5000",
        "UzoXegi7nD0p4NohiWF9uArP1GdJ5nM2WFEYUkmRD2OJy5ldjnAQgccEnZ/1jhMuWYO+P5YIuBn721b8bON1CA==",
    ),
    (
        "V2 no parameters, nothing between instruction and timestamp",
        words.signed_text("balanceQuery", {}, NOW_MS),
        "instruction=balanceQuery&timestamp=1750793021519&window=5000",
        "UVvIby2z8iejhYkf+rghNIs771Hk9v0WW0Itog+QSwuW6DXUHkxo9skcVsYgLqt6LmftTDJ1cegvkkSKbfmCDQ==",
    ),
    (
        "V3 a post-only order, boolean in lower case, number in decimal",
        words.signed_text("orderExecute", WHOLE, NOW_MS),
        (
            "instruction=orderExecute&clientId=123456789&orderType=Limit&postOnly=true&price=141.05&quantity=12.5&side=Bid"
            "&symbol=SOL_USDC_PERP&timeInForce=GTC&timestamp=1750793021519&window=5000"
        ),
        "5Nsq2UVEhkyXbnFqx3QH/Oet4QwruCK4rfLnkTR3MKY8XyAAsOfX8Zt+OV+Y+osnVk+6iA1tABNMX66jw8+pDg==",
    ),
    (
        "V4 a cancel by order id",
        words.signed_text("orderCancel", {"symbol": "SOL_USDC", "orderId": "114575842681290753"}, NOW_MS),
        "instruction=orderCancel&orderId=114575842681290753&symbol=SOL_USDC&timestamp=1750793021519&window=5000",
        "yxlXqyfIcSFyKPl2BNtHMGDbtSe4YPBkvvG4hh1OKcqV1l+79nfDx2SzHhJZ/pBXF1W8cyebinIJOelduG0CAg==",
    ),
    (
        "V5 a batch: each order with its instruction, one time for all",
        words.batch_text("orderExecute", [FIRST, SECOND], NOW_MS),
        (
            "instruction=orderExecute&orderType=Limit&price=141&quantity=12&side=Bid&symbol=SOL_USDC_PERP"
            "&instruction=orderExecute&orderType=Limit&price=140&quantity=11&side=Bid&symbol=SOL_USDC_PERP&timestamp=1750793021519&window=5000"
        ),
        "vPFtn5Js/Bow3UsENNogoyaEcTqy8fxLH2ASbpAcTSClJf1v4VAj7+61T7IRwMt9kvGvGxhtlXqlvtCzzbFxAQ==",
    ),
    (
        "V6 a private subscription",
        words.signed_text("subscribe", {}, NOW_MS),
        "instruction=subscribe&timestamp=1750793021519&window=5000",
        "leFLQxU4JdSY/G/UcO65cT7ePa0er0gXZPG0gyldm0Fnoh2GlWT4M/gJAtajovJnBHlhgRvhGskcnix4/E+QCw==",
    ),
    (
        "V7 the account's switches under another window",
        words.signed_text("accountUpdate", {"autoLend": False, "leverageLimit": "5"}, NOW_MS, 60_000),
        "instruction=accountUpdate&autoLend=false&leverageLimit=5&timestamp=1750793021519&window=60000",
        "/9+FQEMTh8yHHJMrslTGUTH9JeJQnTOpF2WieS4OKAX0seSz8t4CiF+tkIMAGI+teWyWvNCLonFnGVCbrVslAQ==",
    ),
    (
        "V8 cancel-all, which a client of ours never signs",
        words.signed_text("orderCancelAll", {"symbol": "SOL_USDC"}, NOW_MS),
        "instruction=orderCancelAll&symbol=SOL_USDC&timestamp=1750793021519&window=5000",
        "eC8/szFosIBsof+NBYGW8m7xv9ekJJGZF5e2D0L1iXoG4bO7jwVmy6wqi1RuIoigWgfIl/gl9eplw1+iIvCoCw==",
    ),
    (
        "V9 a page of fills",
        words.signed_text("fillHistoryQueryAll", FILLS, NOW_MS),
        (
            "instruction=fillHistoryQueryAll&fillType=User&from=1750790000000&limit=100&offset=0&symbol=SOL_USDC"
            "&timestamp=1750793021519&window=5000"
        ),
        "H6QzBPcUYy5knnHq9/RmHwh9V55C3yGaY9HjQbXjxM4MLr1KaCifCXoO8nCfb8kfZVpA6UV0df3TfI3o/CUDDg==",
    ),
    (
        "V10 one order by client id",
        words.signed_text("orderQuery", {"symbol": "SOL_USDC", "clientId": "123456789"}, NOW_MS),
        "instruction=orderQuery&clientId=123456789&symbol=SOL_USDC&timestamp=1750793021519&window=5000",
        "moSjBjymyMgeJIRGZK0+vr03eYRqYVv1IyusXnG4L5XBgjZ7ufEcXwgN9uLDjPonzZdFm+K3pkxd3lVNAvonBw==",
    ),
]


@pytest.mark.parametrize(("text", "expected", "signature"), [row[1:] for row in VECTORS], ids=[row[0] for row in VECTORS])
def test_a_vector_of_the_reference(text, expected, signature):
    assert text == expected.encode()
    everything = frozenset(words.INSTRUCTIONS.values()) | {words.SUBSCRIBE}
    assert Ed25519Signer(SEED, signable=everything).sign(text) == signature
    assert Ed25519Verifier(PUBLIC).verify(text, signature)
    assert not Ed25519Verifier(PUBLIC).verify(text + b" ", signature)


def proof(request):
    return dict(request.headers)["X-Signature"]


def reads(what, **params):
    return Backpack().read(what, signer(), NOW_MS, **params)


def signature_of(number):
    return VECTORS[number - 1][3]


# (name, the request our client makes, method, path and query, body, signature)
REQUESTS = [
    (
        "V1",
        reads("open_orders", symbol="SOL_USDC_PERP", marketType="PERP"),
        "GET",
        "/api/v1/orders?marketType=PERP&symbol=SOL_USDC_PERP",
        b"",
        signature_of(1),
    ),
    ("V2", reads("capital"), "GET", "/api/v1/capital", b"", signature_of(2)),
    (
        "V3",
        Backpack().place([Place("SOL_USDC_PERP", 123456789, BUY, POST_ONLY, 0, 14105, 0, 1250)], MARKETS, signer(), NOW_MS),
        "POST",
        "/api/v1/order",
        (
            b'{"symbol":"SOL_USDC_PERP","side":"Bid","orderType":"Limit","price":"141.05","quantity":"12.5","timeInForce":"GTC","postOnly":true,'
            b'"clientId":123456789}'
        ),
        signature_of(3),
    ),
    (
        "V4",
        Backpack().cancel(Cancel("SOL_USDC", 5, "114575842681290753"), signer(), NOW_MS),
        "DELETE",
        "/api/v1/order",
        b'{"symbol":"SOL_USDC","orderId":"114575842681290753"}',
        signature_of(4),
    ),
    (
        "V9",
        reads("fill_history", **FILLS),
        "GET",
        "/wapi/v1/history/fills?fillType=User&from=1750790000000&limit=100&offset=0&symbol=SOL_USDC",
        b"",
        signature_of(9),
    ),
    (
        "V10",
        reads("order", symbol="SOL_USDC", clientId="123456789"),
        "GET",
        "/api/v1/order?clientId=123456789&symbol=SOL_USDC",
        b"",
        signature_of(10),
    ),
]


@pytest.mark.parametrize(("request_", "method", "path", "body", "signature"), [r[1:] for r in REQUESTS], ids=[r[0] for r in REQUESTS])
def test_a_request_of_our_client_is_the_vector(request_, method, path, body, signature):
    assert (request_.method, request_.path, request_.body) == (method, path, body)
    headers = dict(request_.headers)
    assert headers.pop("X-Signature") == signature
    expected = {"X-API-Key": PUBLIC, "X-Timestamp": "1750793021519", "X-Window": "5000"}
    if body:
        expected["Content-Type"] = "application/json; charset=utf-8"
    assert headers == expected


def test_a_subscription_is_the_sixth_vector_byte_for_byte():
    assert Backpack().subscribe(["account.orderUpdate"], signer(), NOW_MS) == (
        b'{"method":"SUBSCRIBE","params":["account.orderUpdate"],"signature":["11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",'
        b'"leFLQxU4JdSY/G/UcO65cT7ePa0er0gXZPG0gyldm0Fnoh2GlWT4M/gJAtajovJnBHlhgRvhGskcnix4/E+QCw==","1750793021519","5000"]}'
    )


def test_public_streams_are_not_signed_and_private_ones_need_a_signer():
    assert Backpack().subscribe(["depth.SOL_USDC"], None, NOW_MS) == b'{"method":"SUBSCRIBE","params":["depth.SOL_USDC"]}'
    with pytest.raises(ValueError, match="pass a signer"):
        Backpack().subscribe(["depth.SOL_USDC", "account.orderUpdate"], None, NOW_MS)


def test_a_batch_is_signed_once_and_each_order_stands_in_the_text():
    orders = [Place("SOL_USDC", n, BUY, POST_ONLY, 0, 14000 + n, 0, 100) for n in (1, 2, 3)]
    request = Backpack().place(orders, MARKETS, signer(), NOW_MS)
    assert request.path == "/api/v1/orders"
    assert Ed25519Verifier(PUBLIC).verify(words.batch_text("orderExecute", json.loads(request.body), NOW_MS), proof(request))


def test_a_query_is_percent_encoded_on_the_way_and_signed_raw():
    request = reads("fill_history", symbol="A B&C=D/%")
    assert request.path == "/wapi/v1/history/fills?symbol=A%20B%26C%3DD%2F%25"
    raw = words.signed_text("fillHistoryQueryAll", {"symbol": "A B&C=D/%"}, NOW_MS)
    assert Ed25519Verifier(PUBLIC).verify(raw, proof(request))


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), st.text(max_size=8), max_size=6))
@settings(max_examples=50)
def test_parameters_are_signed_in_the_order_of_their_bytes(params):
    text = words.params_text("orderQuery", params)
    expected = sorted(params.items(), key=lambda pair: pair[0].encode())
    assert text == "instruction=orderQuery" + "".join(f"&{k}={v}" for k, v in expected)


@pytest.mark.parametrize("value", [None, 1.5, [], {}], ids=["null", "a float", "a list", "an object"])
def test_what_has_no_one_text_is_not_signed(value):
    with pytest.raises(ValueError, match="leave out what is not sent"):
        words.params_text("orderQuery", {"price": value})


# ---- what may be signed ----


@pytest.mark.parametrize(
    "text",
    [
        b"instruction=withdraw&address=x&timestamp=1&window=5000",
        b"instruction=orderExecute&price=1&instruction=withdraw&timestamp=1&window=5000",
        b"instruction=orderCancelAll&symbol=SOL_USDC&timestamp=1&window=5000",
        b"instruction=borrowLendExecute&side=Borrow&timestamp=1&window=5000",
        b"instruction=convertDust&timestamp=1&window=5000",
        b"x=1&instruction=orderExecute&timestamp=1",
        b"timestamp=1&window=5000",
        b"instruction=&timestamp=1",
        b"",
    ],
    ids=[
        "a withdrawal",
        "a withdrawal smuggled in behind an order",
        "cancel-all",
        "borrowing",
        "conversion",
        "an instruction that does not come first",
        "no instruction",
        "an empty instruction",
        "nothing",
    ],
)
@pytest.mark.parametrize("make", [signer, lambda: catalog.signer("backpack", "x" * 16, api_key="k", signing="hmac-sha256")])
def test_a_signer_signs_orders_and_reads_only(make, text):
    with pytest.raises(SigningError, match="does not sign"):
        make().sign(text)


def test_nothing_that_moves_borrows_or_converts_is_signable():
    for word in words.SIGNABLE:
        assert not any(part in word for part in ("withdraw", "Dust", "Execute", "CancelAll", "vault", "rfq", "quote")) or word in {
            "orderExecute",
            "withdrawalQueryAll",
            "dustHistoryQueryAll",
        }
    assert set(words.INSTRUCTIONS.values()) | {"subscribe"} >= words.SIGNABLE


# ---- keys ----


def test_the_long_form_of_the_secret_is_the_same_key():
    text = words.signed_text("balanceQuery", {}, NOW_MS)
    assert catalog.signer("backpack", PAIR, api_key=PUBLIC).sign(text) == signature_of(2)
    assert public_key(PAIR) == public_key(SEED) == PUBLIC


BAD_PAIR = base64.b64encode(base64.b64decode(SEED) + bytes(32)).decode()
BROKEN = [
    ("empty", "", "is empty"),
    ("hexadecimal", "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "hexadecimal"),
    ("URL-safe base64", SEED.replace("+", "-").replace("/", "_"), "URL-safe"),
    ("in quotes", f'"{SEED}"', "quotes"),
    ("too short", base64.b64encode(bytes(16)).decode(), "16 bytes"),
    ("padding lost", SEED.rstrip("="), "not base64"),
    ("not ASCII", "密" * 44, "not base64"),
    ("halves of two keys", BAD_PAIR, "do not belong together"),
]


@pytest.mark.parametrize(("secret", "said"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_a_broken_secret_is_refused_with_the_way_out_and_never_repeated(secret, said):
    with pytest.raises(SecretError, match=said) as caught:
        catalog.signer("backpack", secret)
    told = str(caught.value) + "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is None
    assert not any(secret[i : i + 8] in told for i in range(max(0, len(secret) - 7)))


def test_an_api_key_of_another_secret_is_refused_by_name():
    other = base64.b64encode(bytes(SigningKey(bytes(32)).verify_key)).decode()
    with pytest.raises(SecretError, match="is not the public half"):
        catalog.signer("backpack", SEED, api_key=other)


def test_a_verifier_wants_a_public_key():
    with pytest.raises(SecretError, match="32-byte"):
        Ed25519Verifier("abc")


@pytest.mark.parametrize(
    "signature", ["", "x", "AAAA", "é", PUBLIC, SEED * 3], ids=["empty", "a letter", "short", "umlaut", "a key", "long"]
)
def test_a_malformed_signature_is_no_signature(signature):
    assert not Ed25519Verifier(PUBLIC).verify(b"x", signature)
    assert not HmacSha256Verifier("k", "s" * 16).verify(b"x", signature)


# ---- HMAC ----


def test_hmac_by_a_vector_of_rfc_4231():
    # Test case 2's key is too short for us; test case 1: key = 20 bytes of 0x0b, data = "Hi There".
    key = "base64:" + base64.b64encode(b"\x0b" * 20).decode()
    digest = bytes.fromhex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
    assert HmacSha256Verifier("k", key).verify(b"Hi There", base64.b64encode(digest).decode())


@given(st.text(st.characters(codec="ascii", min_codepoint=33), min_size=16, max_size=40).filter(lambda s: not s.startswith("base64:")))
@settings(max_examples=30)
def test_what_an_hmac_signer_signs_its_verifier_accepts_and_no_other(secret):
    text = words.signed_text("balanceQuery", {}, NOW_MS)
    ours = catalog.signer("backpack", secret, api_key="demo", signing="hmac-sha256")
    assert ours.api_key == "demo"
    assert catalog.verifier("demo", secret=secret, signing="hmac-sha256").verify(text, ours.sign(text))
    encoded = "base64:" + base64.b64encode(secret.encode()).decode()
    assert HmacSha256Verifier("demo", encoded).verify(text, ours.sign(text)), "both ways to write a secret are the same secret"
    assert not HmacSha256Verifier("demo", secret + "x").verify(text, ours.sign(text))
    assert not HmacSha256Verifier("demo", secret).verify(text + b"x", ours.sign(text))


def test_the_dialect_signs_with_hmac_as_with_ed25519():
    secret = "a shared secret of ours"
    ours = catalog.signer("backpack", secret, api_key="demo", signing="hmac-sha256")
    request = Backpack().place([Place("SOL_USDC", 9, BUY, POST_ONLY, 0, 14000, 0, 100)], MARKETS, ours, NOW_MS)
    text = words.signed_text("orderExecute", json.loads(request.body), NOW_MS)
    assert dict(request.headers)["X-API-Key"] == "demo"
    assert HmacSha256Verifier("demo", secret).verify(text, proof(request))


@pytest.mark.parametrize("secret", ["", "short", "base64:", "base64:!!!!", "base64:AAAA"])
def test_a_weak_hmac_secret_is_refused(secret):
    with pytest.raises(SecretError, match="at least 16 bytes"):
        HmacSha256Signer("demo", secret, signable=())


@pytest.mark.parametrize("api_key", ["", "  ", "a\nb", "ключ"])
def test_an_api_key_that_cannot_stand_in_a_header_is_refused(api_key):
    with pytest.raises(SecretError, match="header"):
        HmacSha256Signer(api_key, "s" * 16, signable=())


# ---- secrets ----


@pytest.mark.parametrize(
    ("holder", "secrets"),
    [
        (lambda: catalog.signer("backpack", SEED), [SEED, base64.b64decode(SEED).hex()]),
        (lambda: catalog.signer("backpack", PAIR), [SEED, base64.b64decode(SEED).hex()]),
        (lambda: HmacSha256Signer("demo", "correct horse battery", signable=()), ["correct horse battery"]),
        (lambda: HmacSha256Verifier("demo", "correct horse battery"), ["correct horse battery"]),
    ],
    ids=["seed", "seed and public key", "HMAC signer", "HMAC verifier"],
)
def test_a_secret_is_in_no_text_that_can_be_made_of_its_holder(holder, secrets):
    held = holder()
    pickled = pickle.dumps(held)
    shown = f"{held} {held!r} {[held]} {pickle.loads(pickled)} {copy.copy(held)} {copy.deepcopy(held)}"
    assert "***" in repr(held)
    assert "***" in pickle.loads(pickled)
    assert not hasattr(held, "__dict__"), "vars() shows nothing"
    raw = [base64.b64decode(s) if s == SEED else s.encode() for s in secrets]
    assert not any(r in pickled or r[:8] in pickled for r in raw)
    for secret in secrets:
        assert not any(secret[i : i + 8] in shown for i in range(len(secret) - 7))


# ---- the catalogue ----


def test_an_unknown_exchange_or_way_to_sign_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=r"no exchange is called 'binance'; there are: backpack"):
        catalog.exchange("binance")
    with pytest.raises(ValueError, match="there are: ed25519, hmac-sha256"):
        catalog.signer("backpack", SEED, signing="rsa")
    with pytest.raises(SecretError, match="needs an API key"):
        catalog.signer("backpack", "x" * 20, signing="hmac-sha256")


@pytest.mark.parametrize("window_ms", [0, -1, 60_001])
def test_a_window_that_the_exchange_refuses_is_not_set(window_ms):
    with pytest.raises(ValueError, match="1 to 60000"):
        Backpack(window_ms)
