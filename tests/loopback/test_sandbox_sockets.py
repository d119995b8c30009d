"""The sandbox over real sockets: what only a socket can show."""

import asyncio
import json
import socket

import aiohttp
import pytest
from tests.loopback.sandbox_kit import INSTRUCTIONS, PERP, SPOT, pairs, sign

from lemon_trader.sandbox import server
from lemon_trader.sandbox.faults import Fault, Faults, Kind
from lemon_trader.sandbox.server import PortInUse, ServerOptions, start_sandbox
from lemon_trader.sandbox.world import WorldOptions

ORDER = {"symbol": SPOT, "side": "Bid", "orderType": "Limit", "price": "140", "quantity": "0.1"}


class Remote:
    """A client of its own over aiohttp."""

    def __init__(self, running, http):
        self.running = running
        self.http = http
        self.key = running.accounts[0]

    def stamp(self):
        return self.running.clock.wall_us() // 1000

    def headers(self, instruction, params):
        stamp = self.stamp()
        message = f"{pairs(instruction, params)}&timestamp={stamp}&window=5000"
        return {
            "X-API-Key": self.key.api_key, "X-Signature": sign(self.key.secret, message), "X-Timestamp": str(stamp), "X-Window": "5000",
        }  # fmt: skip

    async def call(self, method, path, params):
        headers = self.headers(INSTRUCTIONS[method, path], params)
        sent = {"params": params} if method == "GET" else {"json": params}
        async with self.http.request(method, self.running.rest_url + path, headers=headers, **sent) as response:
            return response.status, await response.json() if response.content_type == "application/json" else await response.text()

    def subscription(self, *streams):
        headers = self.headers("subscribe", {})
        signature = [headers[name] for name in ("X-API-Key", "X-Signature", "X-Timestamp", "X-Window")]
        return {"method": "SUBSCRIBE", "params": list(streams), "signature": signature}


def session(work, *, faults=None, **options):
    """Run `work` with a client against a running sandbox."""

    async def main():
        running = await start_sandbox(ServerOptions(**options), faults=faults)
        try:
            async with aiohttp.ClientSession() as http:
                return await asyncio.wait_for(work(Remote(running, http)), 20)
        finally:
            await running.stop()

    return asyncio.run(main())


async def frame_of(ws, is_it):
    async for message in ws:
        frame = json.loads(message.data)
        if is_it(frame):
            return frame
    raise AssertionError("the stream ended first")


def test_a_trading_session_over_rest_and_stream():
    async def work(remote):
        async with remote.http.ws_connect(remote.running.ws_url) as ws:
            await ws.send_json(remote.subscription("account.orderUpdate", "depth.SOL_USDC", "trade.SOL_USDC_PERP"))
            await frame_of(ws, lambda frame: frame["stream"] == "depth.SOL_USDC")
            status, placed = await remote.call("POST", "/api/v1/order", ORDER)
            assert (status, placed["status"]) == (200, "New")
            accepted = await frame_of(ws, lambda frame: frame["stream"] == "account.orderUpdate")
            assert (accepted["data"]["e"], accepted["data"]["i"]) == ("orderAccepted", placed["id"])
            assert await remote.call("GET", "/api/v1/orders", {"symbol": SPOT}) == (200, [placed])
            status, gone = await remote.call("DELETE", "/api/v1/order", {"symbol": SPOT, "orderId": placed["id"]})
            assert (status, gone["status"]) == (200, "Cancelled")
            market = {"symbol": PERP, "side": "Bid", "orderType": "Market", "quantity": "0.5"}
            status, filled = await remote.call("POST", "/api/v1/order", market)
            assert (status, filled["status"], filled["executedQuantity"]) == (200, "Filled", "0.5")
            fill = await frame_of(ws, lambda frame: frame["data"].get("e") == "orderFill")
            assert fill["data"]["i"] == filled["id"]

    session(work)


def test_the_readiness_line_says_where_and_who():
    async def work(remote):
        line = json.loads(remote.running.readiness())
        assert set(line) == {"rest_url", "ws_url", "accounts"}
        assert set(line["accounts"][0]) == {"api_key", "secret"}
        async with remote.http.get(line["rest_url"] + "/api/v1/ping") as response:
            assert await response.text() == "pong"
        async with remote.http.ws_connect(line["ws_url"]) as ws:
            await ws.send_str("nonsense")
            assert (await ws.receive_json())["error"]["code"] == 4002

    session(work)


def test_a_port_in_use_is_said_clearly():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} is already in use; choose another with --port"):
            asyncio.run(start_sandbox(ServerOptions(port=port)))


def test_a_lost_reply_is_a_broken_connection_and_the_order_rests():
    faults = Faults()
    faults.order(Fault(Kind.LOSE_REPLY, "POST", "/api/v1/order"))

    async def work(remote):
        with pytest.raises(aiohttp.ClientError):
            await remote.call("POST", "/api/v1/order", ORDER)
        status, orders = await remote.call("GET", "/api/v1/orders", {})
        assert (status, len(orders)) == (200, 1)

    session(work, faults=faults)


def test_a_request_may_have_a_body_on_delete_and_any_content_type():
    async def work(remote):
        _, placed = await remote.call("POST", "/api/v1/order", ORDER)
        params = {"symbol": SPOT, "orderId": placed["id"]}
        headers = {**remote.headers("orderCancel", params), "Content-Type": "text/plain", "X-Strange": "yes"}
        async with remote.http.delete(remote.running.rest_url + "/api/v1/order", headers=headers, data=json.dumps(params)) as response:
            assert (response.status, (await response.json())["status"]) == (200, "Cancelled")

    session(work)


def test_at_another_speed_both_clocks_sign_and_the_market_runs_faster():
    async def work(remote):
        start_us = remote.running.clock.now_us()
        await asyncio.sleep(0.3)
        assert (await remote.call("GET", "/api/v1/capital", {}))[0] == 200
        remote.stamp = lambda: remote.running.clock.now_us() // 1000
        assert (await remote.call("GET", "/api/v1/capital", {}))[0] == 200
        assert remote.running.clock.now_us() - start_us > 25_000_000
        assert len(remote.running.app.desk.tapes[SPOT].prints) > 30

    session(work, speed_ppm=100_000_000)


def test_a_session_that_does_not_read_is_dropped(monkeypatch):
    monkeypatch.setattr(server, "FRAMES_MAX", 50)

    async def work(remote):
        async with remote.http.ws_connect(remote.running.ws_url) as ws:
            await ws.send_json({"method": "SUBSCRIBE", "params": ["trade.SOL_USDC"]})
            await ws.send_str("nonsense")  # its answer says that the subscription before it has been read
            await ws.receive_json()
            hub = remote.running.app.hub
            for number in range(60):  # without giving the writer a chance
                hub.publish("trade.SOL_USDC", {"n": number}, 0)
            closing = None
            async for message in ws:
                closing = message
            assert ws.close_code == 1008
            assert closing is None or json.loads(closing.data)["data"]["n"] < 60
            assert not hub.has("trade.SOL_USDC")

    session(work)


def test_a_stop_closes_streams_with_a_close_frame_and_may_come_twice():
    async def work(remote):
        async with remote.http.ws_connect(remote.running.ws_url) as ws:
            await ws.send_json({"method": "SUBSCRIBE", "params": ["trade.BTC_USDC"]})
            await asyncio.sleep(0.05)
            stopping = asyncio.ensure_future(remote.running.stop())
            async for _ in ws:
                pass
            assert ws.close_code == 1001
            await stopping
            await remote.running.stop()

    session(work)


def test_an_empty_world_has_markets_and_no_life():
    async def work(remote):
        async with remote.http.get(remote.running.rest_url + "/api/v1/depth?symbol=SOL_USDC") as response:
            body = await response.json()
        assert (body["asks"], body["bids"]) == ([], [])

    session(work, world=WorldOptions(market="empty"))


def test_a_market_that_breaks_is_said_and_ends_the_streams():
    async def work(remote):
        said = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["exception"]))
        async with remote.http.ws_connect(remote.running.ws_url) as ws:
            await ws.send_str("nonsense")
            await ws.receive_json()

            def broken(now_us):
                raise ValueError("a torn recording")

            remote.running.app.advance = broken
            async for _ in ws:
                pass
            assert ws.close_code == 1011
        assert [str(error) for error in said] == ["a torn recording"]

    session(work)


def test_a_client_that_dies_in_its_handshake_leaves_no_trace(monkeypatch, caplog):
    async def prepare(*_):
        raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")

    async def work(remote):
        before = len(remote.running.app.hub.sessions)
        with monkeypatch.context() as patch:
            patch.setattr(server.web.WebSocketResponse, "prepare", prepare)
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await remote.http.ws_connect(remote.running.ws_url)
        assert len(remote.running.app.hub.sessions) == before
        async with remote.http.ws_connect(remote.running.ws_url) as stream:
            assert not stream.closed, "the next one is served"

    session(work)
    assert [r for r in caplog.records if r.levelname == "ERROR"] == []


def raw_pings(stamps, **options):
    """A client that answers no ping, beside one that does; what came of both."""

    async def work(remote):
        ends = {}
        for name, autoping in (("answers", True), ("ignores", False)):
            ends[name] = await remote.http.ws_connect(remote.running.ws_url, autoping=autoping)
        reading = asyncio.ensure_future(ends["answers"].receive())
        began = asyncio.get_running_loop().time()
        async for message in ends["ignores"]:
            assert message.type is aiohttp.WSMsgType.PING
            stamps.append(asyncio.get_running_loop().time() - began)
        assert ends["ignores"].close_code == 1006
        await asyncio.sleep(0.3)
        assert not reading.done(), "the other one is still served"
        reading.cancel()

    session(work, world=WorldOptions(market="empty"), **options)


def test_pings_come_from_a_drawn_first_moment_on_and_whoever_ignores_them_is_cut():
    stamps = []
    raw_pings(stamps, first_ping_us=(50_000, 90_000), ping_us=100_000, pong_us=200_000)
    assert 0.04 < stamps[0] < 0.2
    assert len(stamps) in {1, 2}


def test_the_times_of_pings_and_ends_are_those_of_the_reference():
    usual = ServerOptions()
    assert (usual.ping_us, usual.pong_us, usual.close_us) == (60_000_000, 120_000_000, 30_000_000)
    assert usual.first_ping_us == (5_000_000, 38_000_000)


@pytest.mark.parametrize("compresses", [True, False])
def test_deflate_is_agreed_to_or_not(compresses):
    async def work(remote):
        async with remote.http.ws_connect(remote.running.ws_url, compress=15) as ws:
            assert bool(ws.compress) == compresses
            await ws.send_str("nonsense")
            assert (await ws.receive_json())["error"]["code"] == 4002

    session(work, world=WorldOptions(market="empty"), compresses=compresses)


def test_a_client_that_does_not_answer_the_close_frame_has_its_grace_and_no_more():
    async def work(remote):
        ws = await remote.http.ws_connect(remote.running.ws_url, autoclose=False)
        began = asyncio.get_running_loop().time()
        stopping = asyncio.ensure_future(remote.running.stop())
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE
        await stopping
        assert asyncio.get_running_loop().time() - began < 3
        await ws.close()

    session(work, world=WorldOptions(market="empty"), close_us=300_000)
