"""Carrying alerts out in virtual time: nobody waits, nothing is told twice, and what cannot be delivered is said."""

import asyncio

from tests.fake_env import FakeEnv
from tests.virtual_time import run

from lemon_trader.config.settings import AlertSettings
from lemon_trader.core.state import Alert
from lemon_trader.core.units import US_PER_S
from lemon_trader.logger import Redactor
from lemon_trader.notify.courier import AGE_US, LIKE_US, WAITING_MAX, Courier
from lemon_trader.notify.web import Undelivered

S = US_PER_S


class Box:
    """A target that remembers, and fails as it is told."""

    def __init__(self, fails=0, slow_s=0.0, for_good=False):
        self.got = []
        self.asked = []
        self.fails = fails
        self.slow_s = slow_s
        self.for_good = for_good

    async def deliver(self, notice):
        self.asked.append(asyncio.get_running_loop().time())
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        if self.fails:
            self.fails -= 1
            raise Undelivered("HTTP 503", for_good=self.for_good)
        self.got.append(notice)

    @property
    def texts(self):
        return [n.text for n in self.got]


class Rig:
    """A courier with boxes; trouble is told to it again, as a session does."""

    def __init__(self, *boxes, levels=None):
        self.env = FakeEnv(asyncio.get_running_loop())
        self.trouble = []
        targets = [(f"box{n}", box) for n, box in enumerate(boxes)]
        settings = AlertSettings(levels=levels or {})
        self.courier = Courier(self.env, settings, targets, mode="sandbox", account="me", redactor=Redactor(), on_trouble=self._trouble)

    def _trouble(self, key, grade, values):
        self.trouble.append((key, values["target"]))
        self.courier.tell(Alert(self.env.now_us(), key, grade, values))

    def tell(self, key="alert.venue_status", grade="warn", **values):
        self.courier.tell(Alert(self.env.now_us(), key, grade, {k: str(v) for k, v in values.items()}))

    async def end(self):
        await self.courier.close(5 * S)
        self.env.check()


def test_an_alert_reaches_every_target_and_telling_waits_for_none():
    async def main():
        slow, quick = Box(slow_s=30), Box()
        rig = Rig(slow, quick)
        before = asyncio.get_running_loop().time()
        rig.tell(status="Maintenance")
        rig.tell("alert.woke", seconds=40)
        assert asyncio.get_running_loop().time() == before
        await asyncio.sleep(1)
        assert quick.texts == [
            "[SANDBOX me] The exchange says Maintenance.",
            "[SANDBOX me] The machine stood still for 40 s; nothing was watched meanwhile.",
        ]
        assert not slow.got
        await asyncio.sleep(61)
        assert len(slow.got) == 2
        await rig.end()

    run(main)


def test_alerts_that_differ_in_figures_alone_are_told_once_and_then_counted():
    async def main():
        box = Box()
        rig = Rig(box)
        for n in range(50):
            rig.tell("alert.refused_again", symbol="SOL_USDC", code="X", message="no", count=n)
        await asyncio.sleep(1)
        assert len(box.got) == 1
        await asyncio.sleep(LIKE_US / S)
        assert [n.repeats for n in box.got] == [0, 48]
        assert "48 more" in box.texts[1]
        assert "49 times" in box.texts[1], "the latest figures"
        await asyncio.sleep(1)
        rig.tell("alert.refused_again", symbol="SOL_USDC", code="X", message="no", count=51)
        await asyncio.sleep(1)
        assert len(box.got) == 3
        await rig.end()

    run(main)


def test_one_alert_is_not_repeated_after_its_minute():
    async def main():
        box = Box()
        rig = Rig(box)
        rig.tell(status="Maintenance")
        await asyncio.sleep(3 * LIKE_US / S)
        assert len(box.got) == 1
        await rig.end()

    run(main)


def test_what_fails_is_tried_again_ever_later_and_in_order_and_the_trouble_is_told_elsewhere():
    async def main():
        bad, good = Box(fails=4), Box()
        rig = Rig(bad, good)
        rig.tell(status="a")
        rig.tell(status="b")
        await asyncio.sleep(120)
        assert [n.values["status"] for n in bad.got if n.key == "alert.venue_status"] == ["a", "b"]
        assert len(bad.asked) >= 6
        assert rig.trouble == [("alert.undelivered", "box0"), ("alert.delivered", "box0")]
        assert [n.key for n in good.got] == ["alert.venue_status", "alert.venue_status", "alert.undelivered", "alert.delivered"]
        assert not [n for n in bad.got if n.key == "alert.undelivered"], "a target is not told of its own trouble"
        await rig.end()

    run(main)


def test_a_refusal_for_good_is_not_asked_again():
    async def main():
        box = Box(fails=1, for_good=True)
        rig = Rig(box)
        rig.tell(status="a")
        rig.tell(status="b")
        await asyncio.sleep(600)
        assert [n.values["status"] for n in box.got] == ["b"]
        assert len(box.asked) == 2
        await rig.end()

    run(main)


def test_what_is_older_than_an_hour_is_given_up():
    async def main():
        box = Box(fails=10**6)
        rig = Rig(box)
        rig.tell(status="a")
        await asyncio.sleep(AGE_US / S + 700)
        assert rig.courier.channels[0].lost == 1
        assert len(box.asked) < 40, "and was not hammered"
        await rig.end()

    run(main)


def test_a_target_that_is_gone_costs_a_bounded_memory_and_the_grave_ones_stay():
    async def main():
        box = Box(fails=10**6)
        rig = Rig(box)
        rig.tell("alert.latched", "grave", mode="HALTED", reason="DRAWDOWN", detail="x")
        rig.tell("alert.unprotected", "grave", symbol="A", held="one", base="SOL", seconds=5)
        for n in range(3 * WAITING_MAX):
            rig.tell("alert.book_state", symbol=f"M{n}x", state="Closed")
        channel = rig.courier.channels[0]
        assert len(channel._waiting) == WAITING_MAX
        assert [w.notice.grade for w in channel._waiting][:2] == ["grave", "grave"]
        assert channel.lost == 2 * WAITING_MAX + 2
        await rig.end()

    run(main)


def test_levels_say_what_leaves_and_how_loud():
    async def main():
        box = Box()
        rig = Rig(box, levels={"exchange": "off", "digest": "silent"})
        rig.tell(status="Maintenance")
        rig.tell("alert.digest", "info", day="2026-01-01", made="1", net="1", fees="0", held="-")
        rig.tell("alert.woke", seconds=40)
        await asyncio.sleep(1)
        assert [(n.event, n.silent) for n in box.got] == [("digest", True), ("sleep", False)]
        await rig.end()

    run(main)


def test_an_end_waits_for_the_last_words_and_no_longer():
    async def main():
        slow, gone = Box(slow_s=2), Box(fails=10**6)
        rig = Rig(slow, gone)
        rig.tell("alert.stopped", "info", origin="door", net="1", held="-", resting=0)
        before = asyncio.get_running_loop().time()
        await rig.end()
        assert asyncio.get_running_loop().time() - before <= 5.1
        assert [n.key for n in slow.got] == ["alert.stopped"]
        assert ("alert.undelivered", "box1") in rig.trouble
        rig.tell(status="after the end")
        await asyncio.sleep(1)
        assert len(slow.got) == 1

    run(main)


def test_an_end_tells_what_was_only_counted():
    async def main():
        box = Box()
        rig = Rig(box)
        rig.tell("alert.unknown_long", symbol="A", quantity="1", price="2", client_id=1, seconds=61)
        rig.tell("alert.unknown_long", symbol="A", quantity="1", price="2", client_id=2, seconds=61)
        await rig.end()
        assert [n.values["client_id"] for n in box.got] == ["1", "2"]

    run(main)
