"""Alerts to a program of this machine, and to the services that the extra `notify` knows. Both run beside the loop, never on it."""

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from lemon_trader.config.keys import NAMES
from lemon_trader.config.settings import Secret
from lemon_trader.config.sources import PREFIX
from lemon_trader.notify.notice import Notice
from lemon_trader.notify.web import Undelivered

if TYPE_CHECKING:
    from apprise import Apprise

COMMAND_S: Final = 20
COMPLAINT_MAX: Final = 200  # characters of what a failing program says
SERVICE_S: Final = 60
QUIETLY: Final = "silent=yes"  # what Telegram's address calls it; services without such a word ignore it


class CommandTarget:
    """A program without a shell: the text on its standard input, the fields in its environment, which has none of our keys."""

    def __init__(self, words: tuple[str, ...]) -> None:
        self._words = words

    async def deliver(self, notice: Notice) -> None:
        """Raises Undelivered when it cannot be started, fails, or takes too long; then it is ended."""
        ours = {k: v for k, v in os.environ.items() if k not in NAMES and not k.startswith(PREFIX)}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
                env=ours | notice.as_environment(),
            )  # fmt: skip
        except OSError as error:
            raise Undelivered(error.strerror or type(error).__name__) from error
        try:
            async with asyncio.timeout(COMMAND_S):
                _, said = await process.communicate(f"{notice.text}\n".encode())
        except TimeoutError as error:
            raise Undelivered(f"not done after {COMMAND_S} s") from error
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            raise Undelivered(f"exit code {process.returncode}: {said.decode(errors='replace').strip()[:COMPLAINT_MAX]}")


class ServiceTarget:
    """Any service that apprise knows, by its address. apprise waits for the network, so it has a thread."""

    def __init__(self, address: Secret) -> None:
        text = address.reveal()
        self._loud = _service(text)
        self._quiet = _service(text + ("&" if "?" in text else "?") + QUIETLY)

    async def deliver(self, notice: Notice) -> None:
        """Raises Undelivered."""
        from apprise import NotifyType  # noqa: PLC0415  the extra

        kind = {"info": NotifyType.INFO, "warn": NotifyType.WARNING, "grave": NotifyType.FAILURE}[notice.grade]
        service = self._quiet if notice.silent else self._loud
        try:
            async with asyncio.timeout(SERVICE_S):
                done = await asyncio.to_thread(service.notify, body=notice.text, title="", notify_type=kind)
        except TimeoutError as error:
            raise Undelivered(f"no answer after {SERVICE_S} s") from error
        if not done:
            raise Undelivered("the service did not take it")


def _service(address: str) -> "Apprise":
    from apprise import Apprise  # noqa: PLC0415  the extra

    made = Apprise()
    made.add(address)
    return made
