"""The server's side of signing: published vectors, every way a known client signs, and the clock."""

import base64
import json

import pytest
from nacl.signing import SigningKey
from tests.exchanges.kit import NOW_MS, PUBLIC, SEED

from lemon_trader.exchanges.backpack.server import Claim, Refusal, check_signature, check_time, claim_of, parse_body, split_target
from lemon_trader.exchanges.signers import Ed25519Verifier, HmacSha256Signer, HmacSha256Verifier

STAMP = str(NOW_MS)
VECTORS = [
    ("V1 query in another order", "orderQueryAll", "/api/v1/orders?symbol=SOL_USDC_PERP&marketType=PERP", None, "5000",
     "UzoXegi7nD0p4NohiWF9uArP1GdJ5nM2WFEYUkmRD2OJy5ldjnAQgccEnZ/1jhMuWYO+P5YIuBn721b8bON1CA=="),
    ("V2 no parameters", "balanceQuery", "/api/v1/capital", None, "5000",
     "UVvIby2z8iejhYkf+rghNIs771Hk9v0WW0Itog+QSwuW6DXUHkxo9skcVsYgLqt6LmftTDJ1cegvkkSKbfmCDQ=="),
    ("V3 body with a number and a boolean", "orderExecute", "/api/v1/order",
     '{"symbol":"SOL_USDC_PERP","side":"Bid","orderType":"Limit","price":"141.05","quantity":"12.5","timeInForce":"GTC","postOnly":true,"clientId":123456789}',
     "5000", "5Nsq2UVEhkyXbnFqx3QH/Oet4QwruCK4rfLnkTR3MKY8XyAAsOfX8Zt+OV+Y+osnVk+6iA1tABNMX66jw8+pDg=="),
    ("V4 cancel", "orderCancel", "/api/v1/order", '{"symbol":"SOL_USDC","orderId":"114575842681290753"}', "5000",
     "yxlXqyfIcSFyKPl2BNtHMGDbtSe4YPBkvvG4hh1OKcqV1l+79nfDx2SzHhJZ/pBXF1W8cyebinIJOelduG0CAg=="),
    ("V5 batch", "orderExecute", "/api/v1/orders",
     ('[{"symbol":"SOL_USDC_PERP","side":"Bid","orderType":"Limit","price":"141","quantity":"12"},'
      '{"symbol":"SOL_USDC_PERP","side":"Bid","orderType":"Limit","price":"140","quantity":"11"}]'),
     "5000", "vPFtn5Js/Bow3UsENNogoyaEcTqy8fxLH2ASbpAcTSClJf1v4VAj7+61T7IRwMt9kvGvGxhtlXqlvtCzzbFxAQ=="),
    ("V6 stream", "subscribe", "/", None, "5000",
     "leFLQxU4JdSY/G/UcO65cT7ePa0er0gXZPG0gyldm0Fnoh2GlWT4M/gJAtajovJnBHlhgRvhGskcnix4/E+QCw=="),
    ("V7 a long window", "accountUpdate", "/api/v1/account", '{"autoLend":false,"leverageLimit":"5"}', "60000",
     "/9+FQEMTh8yHHJMrslTGUTH9JeJQnTOpF2WieS4OKAX0seSz8t4CiF+tkIMAGI+teWyWvNCLonFnGVCbrVslAQ=="),
    ("V8 cancel all", "orderCancelAll", "/api/v1/orders", '{"symbol":"SOL_USDC"}', "5000",
     "eC8/szFosIBsof+NBYGW8m7xv9ekJJGZF5e2D0L1iXoG4bO7jwVmy6wqi1RuIoigWgfIl/gl9eplw1+iIvCoCw=="),
    ("V9 history", "fillHistoryQueryAll",
     "/wapi/v1/history/fills?symbol=SOL_USDC&fillType=User&from=1750790000000&limit=100&offset=0", None, "5000",
     "H6QzBPcUYy5knnHq9/RmHwh9V55C3yGaY9HjQbXjxM4MLr1KaCifCXoO8nCfb8kfZVpA6UV0df3TfI3o/CUDDg=="),
    ("V10 by client id", "orderQuery", "/api/v1/order?symbol=SOL_USDC&clientId=123456789", None, "5000",
     "moSjBjymyMgeJIRGZK0+vr03eYRqYVv1IyusXnG4L5XBgjZ7ufEcXwgN9uLDjPonzZdFm+K3pkxd3lVNAvonBw=="),
]  # fmt: skip


def check(instruction, target, body, claim, verify=None):
    many = bool(body) and body.startswith("[")
    sent = parse_body(body.encode(), many=many) if body else {}
    check_signature(claim, verify or Ed25519Verifier(PUBLIC).verify, instruction, split_target(target)[1], sent)


def signed(message):
    return base64.b64encode(SigningKey(base64.b64decode(SEED)).sign(message.encode()).signature).decode()


@pytest.mark.parametrize(("name", "instruction", "target", "body", "window", "signature"), VECTORS, ids=[v[0] for v in VECTORS])
def test_every_published_vector_is_accepted(name, instruction, target, body, window, signature):
    check(instruction, target, body, Claim(PUBLIC, signature, STAMP, window))


@pytest.mark.parametrize(("name", "instruction", "target", "body", "window", "signature"), VECTORS, ids=[v[0] for v in VECTORS])
def test_a_vector_proves_nothing_else(name, instruction, target, body, window, signature):
    for claim, of in (
        (Claim(PUBLIC, signature, str(NOW_MS + 1), window), instruction),
        (Claim(PUBLIC, signature, STAMP, "4999"), instruction),
        (Claim(PUBLIC, signature, STAMP, window), "withdraw"),
    ):
        with pytest.raises(Refusal, match="Invalid signature"):
            check(of, target, body, claim)


@pytest.mark.parametrize(
    ("name", "target", "body", "message"),
    [
        ("the same in query and body, signed once", "/?symbol=SOL_USDC&orderId=1", '{"symbol":"SOL_USDC","orderId":"1"}',
         "instruction=orderCancel&orderId=1&symbol=SOL_USDC"),
        ("query alone, and a body that says something else", "/?orderId=1", '{"symbol":"SOL_USDC"}', "instruction=orderCancel&orderId=1"),
        ("query first, then body, each sorted", "/?symbol=SOL_USDC", '{"orderId":"1"}',
         "instruction=orderCancel&symbol=SOL_USDC&orderId=1"),
        ("client id as text", "/", '{"clientId":"7","symbol":"SOL_USDC"}', "instruction=orderCancel&clientId=7&symbol=SOL_USDC"),
        ("nulls are not signed", "/", '{"clientId":7,"orderId":null}', "instruction=orderCancel&clientId=7"),
        ("a number's own text is signed", "/", '{"price":141.050,"big":123456789012345678901234567890}',
         "instruction=orderCancel&big=123456789012345678901234567890&price=141.050"),
        ("upper case sorts before lower case", "/", '{"ab":"1","aB":"2"}', "instruction=orderCancel&aB=2&ab=1"),
        ("a query that says True where true was signed", "/?reduceOnly=True", None, "instruction=orderCancel&reduceOnly=true"),
        ("values percent-encoded in the signed text", "/", '{"triggerQuantity":"80%"}', "instruction=orderCancel&triggerQuantity=80%25"),
        ("values raw in the signed text", "/", '{"triggerQuantity":"80%"}', "instruction=orderCancel&triggerQuantity=80%"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)  # fmt: skip
def test_each_way_a_known_client_signs_is_accepted(name, target, body, message):
    check("orderCancel", target, body, Claim(PUBLIC, signed(f"{message}&timestamp={STAMP}&window=5000"), STAMP, "5000"))


def test_a_signature_that_is_none_is_invalid_and_not_an_error():
    for signature in ("", "AAAA", "not base64", "é", "A" * 88):
        with pytest.raises(Refusal, match="Invalid signature"):
            check("balanceQuery", "/", None, Claim(PUBLIC, signature, STAMP, "5000"))


def test_hmac_is_checked_behind_the_same_port():
    secret = "a shared secret of some length"
    text = f"instruction=balanceQuery&timestamp={STAMP}&window=5000".encode()
    signature = HmacSha256Signer("demo", secret, signable={"balanceQuery"}).sign(text)
    check("balanceQuery", "/", None, Claim("demo", signature, STAMP, "5000"), HmacSha256Verifier("demo", secret).verify)
    with pytest.raises(Refusal):
        check("balanceQuery", "/", None, Claim("demo", signature, STAMP, "5000"), HmacSha256Verifier("demo", secret + "!").verify)


EXPIRED = "Request has expired"
IMPLAUSIBLE = "Invalid timestamp: must be within 10 minutes of current time"


@pytest.mark.parametrize(
    ("name", "stamp_ms", "window", "clocks_ms", "message"),
    [
        ("at the end of its window", -5_000, "5000", [0], None),
        ("one millisecond later", -5_001, "5000", [0], EXPIRED),
        ("the largest window", -60_000, "60000", [0], None),
        ("a window too large", 0, "60001", [0], "Invalid window: must be between 1 and 60000"),
        ("a window of nothing", 0, "0", [0], "Invalid window: must be between 1 and 60000"),
        ("a window that is no number", 0, "abc", [0], "Invalid window: must be between 1 and 60000"),
        ("ten minutes old", -600_000, "5000", [0], EXPIRED),
        ("older than ten minutes", -600_001, "5000", [0], IMPLAUSIBLE),
        ("ahead within ten minutes", 600_000, "5000", [0], None),
        ("too far ahead", 600_001, "5000", [0], IMPLAUSIBLE),
        ("by the second of two clocks", 0, "5000", [90_000_000, 0], None),
        ("by neither clock", 0, "5000", [90_000_000, 6_000], EXPIRED),
    ],
)
def test_the_clock_rules_hold_to_the_millisecond(name, stamp_ms, window, clocks_ms, message):
    claim = Claim(PUBLIC, "", str(NOW_MS + stamp_ms), window)
    clocks = [NOW_MS + clock for clock in clocks_ms]
    if message is None:
        check_time(claim, clocks)
        return
    with pytest.raises(Refusal) as refused:
        check_time(claim, clocks)
    assert (refused.value.status, refused.value.code, refused.value.message) == (400, "INVALID_CLIENT_REQUEST", message)
    assert json.loads(refused.value.encode()[1]) == {"code": "INVALID_CLIENT_REQUEST", "message": message}


@pytest.mark.parametrize("stamp", ["", "12.5", "-1", "1e9", "²", "9" * 30])
def test_a_timestamp_that_is_no_number_is_refused_with_the_word_that_clients_look_for(stamp):
    with pytest.raises(Refusal, match=r"(?i)timestamp"):
        check_time(Claim(PUBLIC, "", stamp, "5000"), [NOW_MS])


def test_header_names_have_no_case_and_a_missing_window_is_the_literal_5000():
    claim = claim_of({"x-api-key": "k", "X-SIGNATURE": "s", "x-Timestamp": " 1 ", "X-Broker-Id": "1400"})
    assert claim == Claim("k", "s", "1", "5000")


@pytest.mark.parametrize("missing", ["X-API-Key", "X-Signature", "X-Timestamp"])
def test_a_missing_header_is_unauthorized(missing):
    headers = {"X-API-Key": "k", "X-Signature": "s", "X-Timestamp": "1"}
    del headers[missing]
    with pytest.raises(Refusal) as refused:
        claim_of(headers)
    assert (refused.value.status, refused.value.code) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("body", [b"{", b"[1]", b'"x"', b"nul", b'{"a":NaN}', b"[" * 100_000, b"\xff\xfe", b'{"a":Infinity}', b"{} {}"])
def test_what_is_no_json_object_is_a_plain_text_refusal(body):
    with pytest.raises(Refusal) as refused:
        parse_body(body)
    content_type, text = refused.value.encode()
    assert refused.value.status == 400
    assert content_type.startswith("text/plain")
    assert text.startswith(b"parse request payload error")


def test_a_body_too_large_and_a_batch_out_of_bounds_are_refused():
    for body, many in ((b'{"a":"' + b"x" * 2_000_000 + b'"}', False), (b"[]", True), (b"[{}" + b",{}" * 50 + b"]", True), (b"{}", True)):
        with pytest.raises(Refusal):
            parse_body(body, many=many)
