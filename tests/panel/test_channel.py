"""The channel that panels ask over: any number of them cost the engine no more than four pictures a second."""

import asyncio

from lemon_trader.engine.control import PICTURE_S, ControlServer, ask
from lemon_trader.env_live import FolderStore


def test_many_faces_share_a_picture_and_a_command_makes_a_new_one(tmp_path):
    made = []

    def picture():
        made.append(None)
        return {"n": len(made)}

    async def scenario():
        store = FolderStore(tmp_path)
        server = ControlServer(store, picture, lambda *_: {})
        await server.start()
        try:
            shown = await asyncio.gather(*(ask(store, "status") for _ in range(20)))
            assert [reply["status"]["n"] for reply in shown] == [1] * 20
            await ask(store, "stop")
            assert (await ask(store, "status"))["status"]["n"] == 2, "whoever commands sees what came of it"
            await asyncio.sleep(PICTURE_S)
            assert (await ask(store, "status"))["status"]["n"] == 3
        finally:
            await server.stop()

    asyncio.run(scenario())
