"""The operator's door over real sockets: who passes, what it does, what it shows."""

import asyncio
import json
import re
from html.parser import HTMLParser

import aiohttp
import pytest

from lemon_trader.sandbox.admin import AdminServer
from lemon_trader.sandbox.faults import Kind
from lemon_trader.sandbox.server import PortInUse, ServerOptions, start_sandbox
from lemon_trader.sandbox.world import WorldOptions

SPOT, PERP = "SOL_USDC", "SOL_USDC_PERP"
ACT = {"symbol": SPOT, "held": True}


class Operator:
    """A client of the door that shares nothing with it."""

    def __init__(self, sandbox, admin, http):
        self.sandbox, self.admin, self.http = sandbox, admin, http
        self.app, self.exchange = sandbox.app, sandbox.app.desk.exchange
        self.base = f"http://127.0.0.1:{admin.port}"

    def headers(self, **changed):
        headers = {"X-Admin-Token": self.admin.token, "Content-Type": "application/json"} | changed
        return {name: value for name, value in headers.items() if value is not None}

    async def send(self, method, path, body=None, **headers):
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.http.request(method, self.base + path, data=data, headers=self.headers(**headers)) as answer:
            return answer.status, await answer.json() if answer.content_type == "application/json" else await answer.text()

    async def do(self, act, **fields):
        status, answer = await self.send("POST", f"/api/{act}", fields)
        assert (status, answer) == (200, {"done": act}), answer

    async def refused(self, act, **fields):
        status, answer = await self.send("POST", f"/api/{act}", fields)
        assert status == 400, answer
        return answer["error"]

    async def get(self, path):
        status, answer = await self.send("GET", f"/api/{path}")
        assert status == 200, answer
        return answer


def at_the_door(work, **options):
    async def main():
        sandbox = await start_sandbox(ServerOptions(world=WorldOptions(symbols=(SPOT, PERP), **options)))
        admin = AdminServer(sandbox)
        await admin.listen(0)
        try:
            async with aiohttp.ClientSession() as http:
                return await asyncio.wait_for(work(Operator(sandbox, admin, http)), 20)
        finally:
            await admin.stop()
            await sandbox.stop()

    return asyncio.run(main())


# ---- who passes ----

STRANGERS = [
    ("no token", {"X-Admin-Token": None}, 401),
    ("a wrong token", {"X-Admin-Token": "x" * 32}, 401),
    ("a foreign host name that leads here", {"Host": "evil.example"}, 421),
    ("our port under a foreign name", {"Host": "evil.example:80"}, 421),
    ("a foreign origin", {"Origin": "https://evil.example"}, 403),
    ("the origin of nothing", {"Origin": "null"}, 403),
    ("another port's origin", {"Origin": "http://127.0.0.1:1"}, 403),
    ("a foreign page", {"Sec-Fetch-Site": "cross-site"}, 403),
    ("another port's page", {"Sec-Fetch-Site": "same-site"}, 403),
    ("a form's body", {"Content-Type": "text/plain"}, 415),
]


def test_strangers_change_nothing_and_are_counted():
    async def work(operator):
        for _, headers, status in STRANGERS:
            got, answer = await operator.send("POST", "/api/hold", ACT, **headers)
            assert got == status, headers
            assert set(answer) == {"error"}
        assert operator.sandbox.steering.hand(SPOT) is None
        seen = await operator.get("look")
        assert sum(seen["refused"].values()) == len(STRANGERS)
        assert {refusal["path"] for refusal in seen["refusals"]} == {"/api/hold"}
        assert operator.admin.token not in json.dumps(seen)

    at_the_door(work)


@pytest.mark.parametrize("path", ["/api/look", "/api/ledger", "/api/accounts", "/api/fills", "/api/faults", "/api/acts", "/api/none"])
def test_nothing_is_told_without_the_token(path):
    async def work(operator):
        assert (await operator.send("GET", path, **{"X-Admin-Token": None}))[0] == 401

    at_the_door(work, market="empty")


def test_whoever_guesses_tokens_is_shut_out_for_a_minute():
    async def work(operator):
        operator.sandbox.clock.wall_us = lambda: 1_790_000_000_000_000  # the minute does not end meanwhile
        for _ in range(30):
            assert (await operator.send("GET", "/api/faults", **{"X-Admin-Token": "guess"}))[0] == 401
        assert (await operator.send("GET", "/api/faults", **{"X-Admin-Token": "guess"}))[0] == 429
        assert (await operator.send("GET", "/api/faults"))[0] == 429, "not even with the right one"
        operator.sandbox.clock.wall_us = lambda: 1_790_000_060_000_000
        assert (await operator.send("GET", "/api/faults"))[0] == 200

    at_the_door(work, market="empty")


def test_no_other_origin_is_ever_allowed():
    async def work(operator):
        for method in ("OPTIONS", "POST", "GET"):
            async with operator.http.request(method, operator.base + "/api/hold", headers={"Origin": "https://evil.example"}) as answer:
                assert not [name for name in answer.headers if name.lower().startswith("access-control")]
                assert answer.status in {403, 405}

    at_the_door(work, market="empty")


def test_it_listens_on_loopback_and_a_taken_port_is_named():
    async def work(operator):
        addresses = [address[0] for address in operator.admin._runner.addresses]
        assert addresses == ["127.0.0.1"]
        with pytest.raises(PortInUse, match="--admin-port"):
            await AdminServer(operator.sandbox).listen(operator.admin.port)

    at_the_door(work, market="empty")


@pytest.mark.parametrize(
    "path",
    [
        "/api/../look",
        "/api/%2e%2e/hold",
        "/etc/passwd",
        "//etc/passwd",
        "/api/hold%00",
        "/page.html",
        "/api/" + "x" * 3_000,
        "/api/'\"<script>",
    ],
)
def test_odd_paths_lead_nowhere(path):
    async def work(operator):
        status, answer = await operator.send("POST", path, ACT)
        assert status in {400, 404}, answer
        assert operator.sandbox.steering.hand(SPOT) is None

    at_the_door(work, market="empty")


def test_a_body_without_end_and_a_body_that_never_comes_are_given_up(monkeypatch):
    monkeypatch.setattr("lemon_trader.sandbox.admin.REQUEST_S", 0.2)

    async def work(operator):
        assert (await operator.send("POST", "/api/hold", b"x" * 70_000))[0] == 413
        reader, writer = await asyncio.open_connection("127.0.0.1", operator.admin.port)
        head = f"POST /api/hold HTTP/1.1\r\nHost: 127.0.0.1:{operator.admin.port}\r\nX-Admin-Token: {operator.admin.token}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert b" 408 " in await reader.readline()
        writer.close()
        assert (await operator.get("faults"))["maintenance"] is False

    at_the_door(work, market="empty")


# ---- what it does ----


def test_a_market_is_moved_with_its_twin_and_who_rests_there_is_filled():
    async def work(operator):
        await asyncio.sleep(0.3)
        before = {m["symbol"]: m for m in (await operator.get("look"))["markets"]}
        await operator.do("price", symbol=SPOT, price="170")
        after = {m["symbol"]: m for m in (await operator.get("look"))["markets"]}
        assert after[SPOT]["last"] == "170"
        assert 168 < float(after[PERP]["bid"]) < 172
        assert float(before[PERP]["bid"]) < 165
        await operator.do("price", symbol=PERP, price="120", alone=True)
        assert (await operator.get("look"))["markets"][0]["last"] == "170"
        assert "too far" in await operator.refused("price", symbol=SPOT, price="17001")
        assert "grid" in await operator.refused("price", symbol=SPOT, price="170.001")

    at_the_door(work)


def test_levels_trades_states_filters_and_deposits():
    async def work(operator):
        name = operator.sandbox.accounts[0].name
        await operator.do("level", symbol=SPOT, side="Ask", price="150", quantity="3")
        await operator.do("level", symbol=SPOT, side="Bid", price="149", quantity="2")
        await operator.do("trade", symbol=SPOT, side="Bid", quantity="1.25", price="150")
        seen = await operator.get(f"look?symbol={SPOT}")
        assert seen["book"] == {"asks": [["150.00", "1.75", ""]], "bids": [["149.00", "2.00", ""]]}
        assert [p[1:] for p in seen["prints"]] == [["150.00", "1.25", "Bid"]]
        await operator.do("state", symbol=SPOT, state="CancelOnly")
        assert operator.exchange.instrument(SPOT).book_state == "CancelOnly"
        await operator.do("filters", symbol=SPOT, tick="0.1", min_quantity="0.5")
        filters = operator.app.desk.filters[SPOT]
        assert (filters.tick, filters.qty_text(filters.min_lots)) == ("0.1", "0.5")
        await operator.do("deposit", account=name, asset="USDC", amount="12.5")
        assert (await operator.get("accounts"))[0]["balances"]["USDC"]["total"] == "10012.5"
        ledger = await operator.get("ledger")
        assert ledger["closes"] is True
        assert next(row for row in ledger["assets"] if row["asset"] == "USDC")["deposits"] == "20012.5"
        operator.exchange.check_closed()

    at_the_door(work, market="empty")


def test_everything_that_goes_wrong_on_order_is_listed_and_cleared():
    async def work(operator):
        await operator.do("fault", kind="lose_reply", method="POST", path="/api/v1/order", times=3, delay_ms=5)
        await operator.do("odds", ppm={"error_after": 1_000_000}, seed=4)
        await operator.do("silence", prefix="depth.", seconds=60)
        await operator.do("drop", prefix="trade.", frames=2)
        await operator.do("history-lag", milliseconds=1_500)
        await operator.do("omit-trade-ids", on=True)
        await operator.do("maintenance", on=True)
        faults = operator.app.faults
        assert await operator.get("faults") == {
            "maintenance": True, "omit_trade_ids": True, "history_lag_ms": 1_500, "odds_ppm": {"error_after": 1_000_000},
            "waiting": [{"kind": "lose_reply", "method": "POST", "path": "/api/v1/order", "times": 3}],
        }  # fmt: skip
        assert faults.take("POST", "/api/v1/order").kind is Kind.LOSE_REPLY
        assert faults.take("GET", "/api/v1/capital").kind is Kind.ERROR_AFTER
        assert faults.swallows("depth.X", operator.exchange.now_us)
        assert faults.swallows("trade.X", 0)
        await operator.do("clear-faults")
        assert faults.take("GET", "/api/v1/capital") is None
        assert not faults.swallows("depth.X", operator.exchange.now_us)
        assert (await operator.get("faults"))["maintenance"] is False

    at_the_door(work, market="empty")


def test_streams_are_closed_and_time_runs_as_told():
    async def work(operator):
        async with operator.http.ws_connect(operator.sandbox.ws_url) as ws:
            await operator.do("close-streams", code=1012, reason="restart")
            assert (await ws.receive()).type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING}
            assert ws.close_code == 1012
        await operator.do("speed", speed="50")
        begun = operator.sandbox.clock.now_us()
        await asyncio.sleep(0.2)
        assert operator.sandbox.clock.now_us() - begun > 5_000_000
        await operator.do("speed", speed="1")
        assert operator.sandbox.clock.now_us() >= begun

    at_the_door(work, market="empty")


REFUSED = [
    ("price", {"symbol": "NO", "price": "1"}, "no market"),
    ("price", {"symbol": SPOT, "price": "x"}, "number"),
    ("price", {"symbol": SPOT}, "price"),
    ("price", {"symbol": SPOT, "price": "1", "more": 1}, "more"),
    ("level", {"symbol": SPOT, "side": "Buy", "price": "1", "quantity": "1"}, "Bid or Ask"),
    ("level", {"symbol": SPOT, "side": "Bid", "price": "-1", "quantity": "1"}, "price"),
    ("trade", {"symbol": SPOT, "side": "Bid", "price": "1", "quantity": "0"}, "0"),
    ("story", {"symbol": SPOT, "story": "../x"}, "no story"),
    ("state", {"symbol": SPOT, "state": "Shut"}, "Shut"),
    ("state", {"symbol": "NO", "state": "Open"}, "NO"),
    ("filters", {"symbol": SPOT, "tick": "0"}, "tick"),
    ("deposit", {"account": "account-1", "asset": "USDC", "amount": "-1"}, "deposit"),
    ("deposit", {"account": "nobody", "asset": "USDC", "amount": "1"}, "nobody"),
    ("deposit", {"account": "account-1", "asset": "DOGE", "amount": "1"}, "DOGE"),
    ("fault", {"kind": "explode"}, "explode"),
    ("fault", {"kind": "lose_reply", "times": 0}, "times"),
    ("odds", {"ppm": {"lose_reply": 600_000, "lose_request": 600_000}}, "together"),
    ("odds", {"ppm": {"lose_reply": -1}}, "0 or more"),
    ("silence", {"seconds": -1}, "seconds"),
    ("close-streams", {"code": 1005}, "1005"),
    ("close-streams", {"code": 1000, "reason": "x" * 200}, "120"),
    ("speed", {"speed": "0"}, "0.01"),
    ("speed", {"speed": "1e9"}, "speed"),
    ("hold", {"symbol": SPOT, "held": "yes"}, "held"),
]


def test_acts_that_cannot_be_are_refused_with_their_value_and_change_nothing():
    async def work(operator):
        before = operator.exchange.books()
        for act, fields, says in REFUSED:
            assert says in await operator.refused(act, **fields), act
        for body in (b"", b"[]", b"{", b"null", b"\xff", b"[" * 50_000):
            assert (await operator.send("POST", "/api/price", body))[0] == 400
        assert operator.exchange.books() == before
        assert operator.sandbox.steering.hand(SPOT) is None

    at_the_door(work, market="empty")


def test_every_act_is_told_with_its_fields():
    async def work(operator):
        acts = await operator.get("acts")
        assert {"price", "fault", "deposit"} <= set(acts)
        assert all("properties" in json.dumps(schema) for schema in acts.values())

    at_the_door(work, market="empty")


# ---- what it shows ----


class Page(HTMLParser):
    """What a browser would load from elsewhere, and what it would run."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.handlers, self.ids, self.nonces, self.script = [], [], [], [], ""
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.loads += [attrs[name] for name in ("src", "href", "action") if name in attrs]
        self.handlers += [name for name in attrs if name.startswith("on") or name == "style"]
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag in {"script", "style"}:
            self.nonces.append(attrs.get("nonce"))
        self._in_script = tag == "script"

    def handle_endtag(self, tag):
        self._in_script = False

    def handle_data(self, data):
        self.script += data if self._in_script else ""


def test_the_page_needs_nothing_from_elsewhere_and_may_run_nothing_else():
    async def work(operator):
        async with operator.http.get(operator.base + "/") as answer:
            return answer.headers, await answer.text(), operator.admin.token

    headers, text, token = at_the_door(work, market="empty")
    page = Page(text)
    assert page.loads == ["data:,"]
    assert not page.handlers, "inline handlers and styles would be blocked by the policy"
    assert not re.search(r"https?://|innerHTML|insertAdjacentHTML|document\.write|eval\(", page.script)
    assert token not in text
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert {f"'nonce-{nonce}'" for nonce in page.nonces} == set(re.findall(r"'nonce-[^']+'", policy))
    assert headers["X-Frame-Options"] == "DENY"
    used = set(re.findall(r'at\("([\w-]+)"\)', page.script)) | set(re.findall(r'fill\("([\w-]+)"', page.script))
    assert used <= set(page.ids), "every place that the script fills is there"
    assert len(page.ids) == len(set(page.ids))


def test_the_page_has_every_text_in_both_languages():
    async def work(operator):
        return (await operator.send("GET", "/"))[1]

    text = at_the_door(work, market="empty")
    texts = json.loads(re.search(r"const TEXTS = (.*);", text)[1])
    assert set(texts) == {"en", "zh-TW"}
    assert set(texts["en"]) == set(texts["zh-TW"])
    said = set(re.findall(r'say\("([\w-]+)"', text)) | set(re.findall(r'data-say="([\w-]+)"', text))
    said |= {f"ledger-{c}" for c in re.search(r"const columns = \[(.*?)\]", text)[1].replace('"', "").split(", ")}
    said |= {word for pair in re.findall(r'say\([\w.]+ \? "([\w-]+)" : "([\w-]+)"', text) for word in pair}
    assert said == set(texts["en"])


def test_a_look_shows_book_tape_candles_accounts_and_sums_that_close():
    async def work(operator):
        await operator.do("speed", speed="100")
        await asyncio.sleep(0.3)
        seen = await operator.get(f"look?symbol={SPOT}&interval=1s")
        assert len(seen["book"]["bids"]) > 3
        assert float(seen["book"]["bids"][0][0]) < float(seen["book"]["asks"][0][0])
        assert len(seen["prints"]) > 3
        assert len(seen["candles"]) > 3
        assert all(float(c[3]) <= float(c[1]) <= float(c[2]) for c in seen["candles"])
        assert [a["name"] for a in seen["accounts"]] == ["account-1", "account-2"]
        assert not any("secret" in json.dumps(a) for a in seen["accounts"])
        assert (await operator.get("look?symbol=%3Cscript%3E&interval=x"))["symbol"] == SPOT
        assert (await operator.send("GET", "/api/fills?limit=0"))[0] == 400
        assert await operator.get("fills?limit=5") == []

    at_the_door(work)
