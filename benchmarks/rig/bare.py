"""The bare path: a frame read, a trivial decision, one signature, one write. What nobody's engine can undercut with these parts.

It keeps no book, knows no limit, writes no journal and looks at no answer.
"""

import asyncio
import base64
import json
import sys
import time

import aiofastnet
import msgspec
import uvloop
from nacl import bindings
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

SYMBOL = "SOL_USDC"


class Depth(msgspec.Struct, gc=False):
    a: list[tuple[str, str]]
    b: list[tuple[str, str]]


class Frame(msgspec.Struct, gc=False):
    stream: str
    data: msgspec.Raw


class Door(asyncio.Protocol):
    """A kept HTTP connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answers are somebody else's business."""


class Stream(WSListener):
    def __init__(self, door: Door, ready: dict[str, str]) -> None:
        super().__init__()
        self._door = door
        self._pair = bindings.crypto_sign_seed_keypair(base64.b64decode(ready["secret"]))[1]
        self._key = ready["api_key"]
        self._host = ready["rest_url"].split("//")[1]
        self._frame = msgspec.json.Decoder(Frame).decode
        self._depth = msgspec.json.Decoder(Depth).decode
        self._id = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, json.dumps({"method": "SUBSCRIBE", "params": [f"depth.{SYMBOL}"]}).encode())

    def on_ws_frame(self, _: WSTransport, frame: WSFrame) -> None:
        envelope = self._frame(frame.get_payload_as_memoryview())
        if not envelope.stream.startswith("depth"):
            return
        depth = self._depth(envelope.data)
        if not depth.a:
            return
        if depth.a[0][1] != "0.00":
            self._id += 1
            price = f"{float(depth.b[0][0]) - 0.3:.2f}"
            signed = (
                f"instruction=orderExecute&clientId={self._id}&orderType=Limit&postOnly=true&price={price}&quantity=0.10"
                f"&side=Bid&symbol={SYMBOL}&timeInForce=GTC"
            )
            body = (
                f'{{"symbol":"{SYMBOL}","side":"Bid","orderType":"Limit","price":"{price}","quantity":"0.10",'
                f'"timeInForce":"GTC","postOnly":true,"clientId":{self._id}}}'
            )
            self._send("POST", signed, body)
        else:
            self._send(
                "DELETE", f"instruction=orderCancel&clientId={self._id}&symbol={SYMBOL}", f'{{"symbol":"{SYMBOL}","clientId":{self._id}}}'
            )

    def _send(self, method: str, signed: str, body: str) -> None:
        stamp = time.time_ns() // 1_000_000
        text = f"{signed}&timestamp={stamp}&window=5000".encode()
        proof = base64.b64encode(bindings.crypto_sign(text, self._pair)[:64]).decode()
        self._door.transport.write(
            f"{method} /api/v1/order HTTP/1.1\r\nHost: {self._host}\r\nX-API-Key: {self._key}\r\nX-Signature: {proof}\r\n"
            f"X-Timestamp: {stamp}\r\nX-Window: 5000\r\nContent-Type: application/json; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )


async def main() -> None:
    ready = json.loads(sys.argv[1])
    host, _, port = ready["rest_url"].split("//")[1].partition(":")
    loop = asyncio.get_running_loop()
    _, door = await aiofastnet.create_connection(loop, Door, host, int(port))
    transport, _ = await ws_connect(lambda: Stream(door, ready), ready["ws_url"])
    await transport.wait_disconnected()


if __name__ == "__main__":
    uvloop.run(main())
