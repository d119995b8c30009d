"""Stream names and messages as the server reads them."""

import json

import pytest

from lemon_trader.exchanges.backpack.server_stream import StreamName, StreamRefusal, parse_stream, read_request


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("depth.SOL_USDC", StreamName("depth", "SOL_USDC")),
        ("depth.200ms.SOL_USDC", StreamName("depth", "SOL_USDC", detail="200ms")),
        ("depth.AAPL.US_USDC_PERP", StreamName("depth", "AAPL.US_USDC_PERP")),
        ("kline.1month.kPEPE_USDC_PERP", StreamName("kline", "kPEPE_USDC_PERP", detail="1month")),
        ("kline.1m.AAPL.US_USDC_PERP", StreamName("kline", "AAPL.US_USDC_PERP", detail="1m")),
        ("liquidation", StreamName("liquidation", "")),
        ("account.orderUpdate", StreamName("orderUpdate", "", is_private=True)),
        ("account.orderUpdate.AAPL.US_USDC_PERP", StreamName("orderUpdate", "AAPL.US_USDC_PERP", is_private=True)),
        ("account.rfqUpdate", StreamName("rfqUpdate", "", is_private=True)),
    ],
)
def test_a_name_is_split_only_where_it_is_known(name, expected):
    assert parse_stream(name) == expected


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("nonsense.SOL_USDC", 4006, "Invalid stream"),
        ("ticker", 4006, "Invalid stream"),
        ("", 4006, "Invalid stream"),
        ("account.nonsense", 4006, "Invalid stream"),
        ("kline.7m.SOL_USDC", 4006, "Invalid stream"),
        ("kline.1m", 4006, "Invalid stream"),
        ("depth.300ms.SOL_USDC", 4008, "Invalid depth window"),
    ],
)
def test_an_unknown_kind_is_an_error_with_its_code(name, code, message):
    with pytest.raises(StreamRefusal) as refused:
        parse_stream(name)
    assert json.loads(refused.value.encode()) == {"id": None, "error": {"code": code, "message": message}}


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", "null", "", "ping", '{"method":"PING"}', '{"method":"SUBSCRIBE"}', '{"method":"SUBSCRIBE","params":"depth.SOL_USDC"}',
        '{"method":"SUBSCRIBE","params":[1]}', '{"method":["SUBSCRIBE"],"params":[]}', "[" * 100_000,
        '{"method":"SUBSCRIBE","params":[],"signature":["a","b"]}',
    ],
)  # fmt: skip
def test_what_is_no_request_is_a_parse_error(text):
    with pytest.raises(StreamRefusal) as refused:
        read_request(text)
    assert refused.value.code == 4002


def test_a_request_keeps_its_signature_and_its_id_is_ignored():
    request = read_request('{"id":1,"method":"UNSUBSCRIBE","params":["account.orderUpdate"],"signature":["k","s",1,"5000"]}')
    assert (request.is_on, request.streams) == (False, ("account.orderUpdate",))
    assert request.claim is not None
    assert (request.claim.api_key, request.claim.signature, request.claim.timestamp, request.claim.window) == ("k", "s", "1", "5000")
