"""The paper account's file: what was told is there again, what is torn goes, what is damaged or of another grid is refused, and it stays small."""

from itertools import pairwise

import msgspec
import pytest
from tests.fake_store import Disk, full
from tests.matching.worlds import PERP, SPOT, T, limit, market, perp, spot
from tests.simulation.paper_life import differences

from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.rules import Loan, Rules
from lemon_trader.venues import paper_account
from lemon_trader.venues.paper_account import FILE, NAME, PaperAccount, PaperAccountError, image_of

BALANCES = {"USDC": 10_000 * 10**9, "SOL": 5 * 10**9}


class Life:
    """One life of a paper account over a disk."""

    def __init__(self, disk, balances=BALANCES):
        self.file = PaperAccount(disk.store(), balances)
        self.exchange = Exchange((spot(), perp()))
        self.exchange.restore_account(NAME, self.file.open(T), T)
        self.exchange.state_book(SPOT, [(BUY, 9_900, 500), (SELL, 10_100, 500)], T)

    def commit(self):
        self.file.note(self.exchange.take_effects(), self.exchange)
        return self.file.commit(self.exchange)

    def trade(self, lots):
        order = self.exchange.place(NAME, limit(SPOT, BUY, lots, 10_100), T)
        return order.order_id


def test_a_new_account_begins_with_what_was_given_and_an_old_one_does_not_care():
    disk = Disk()
    assert Life(disk).file.is_new
    again = Life(disk, {"USDC": 1})
    assert not again.file.is_new
    assert again.exchange.accounts[NAME].total("USDC") == BALANCES["USDC"]
    assert again.file.beginning.opened_with == BALANCES


def test_everything_committed_is_there_after_the_power_was_lost():
    disk = Disk()
    life = Life(disk)
    life.trade(7)
    resting = life.exchange.place(NAME, limit(SPOT, SELL, 3, 10_500), T)
    assert life.commit()
    alive = image_of(life.exchange, NAME)
    disk.lose_power()
    kept = PaperAccount(disk.store(), {}).open(T)
    assert differences(alive, kept) == []
    assert list(kept.live) == [resting.order_id]
    assert kept.fills[0].lots == 7


def test_a_torn_end_is_cut_and_what_was_before_it_stays():
    disk = Disk()
    life = Life(disk)
    life.trade(7)
    life.commit()
    whole = len(disk.files[FILE].data)
    life.trade(2)
    life.commit()
    del disk.files[FILE].data[-3:]
    disk.kill()
    again = Life(disk)
    assert len(disk.files[FILE].data) == whole
    assert [f.lots for f in again.exchange.accounts[NAME].fills] == [7]
    again.trade(1)
    assert again.commit()
    disk.kill()
    assert [f.lots for f in Life(disk).exchange.accounts[NAME].fills] == [7, 1]


def test_damage_in_the_middle_is_refused_with_the_way_out():
    disk = Disk()
    life = Life(disk)
    for _ in range(3):
        life.trade(1)
        life.commit()
    disk.flip(FILE, len(disk.files[FILE].data) // 2)
    disk.kill()
    with pytest.raises(PaperAccountError, match="move the folder away"):
        Life(disk)


@pytest.mark.parametrize("act", ["append", "sync"])
def test_a_disk_that_refuses_keeps_everything_untold_until_it_takes_it(act):
    disk = Disk()
    life = Life(disk)
    disk.fail = lambda what, _name: full() if what == act else None
    life.trade(7)
    assert not life.commit()
    assert not life.commit(), "what could not be made durable is not durable for being asked again"
    life.trade(2)
    assert not life.commit()
    disk.fail = lambda _what, _name: None
    assert life.commit()
    disk.lose_power()
    assert [f.lots for f in Life(disk).exchange.accounts[NAME].fills] == [7, 2]


def test_a_disk_that_takes_half_a_record_gets_the_whole_one_later():
    disk = Disk()
    life = Life(disk)
    disk.free_bytes = 40
    life.trade(7)
    assert not life.commit()
    disk.free_bytes = None
    assert life.commit()
    disk.kill()
    assert [f.lots for f in Life(disk).exchange.accounts[NAME].fills] == [7]


def test_a_long_life_begins_the_file_anew_and_loses_nothing(monkeypatch):
    monkeypatch.setattr(paper_account, "GROWTH_BYTES", 4_000)
    disk = Disk()
    life = Life(disk)
    sizes = []
    for n in range(400):
        at_us = T + n * 60_000_000
        life.exchange.place(NAME, limit(SPOT, BUY, 1, 10_100), at_us)
        for _ in range(3):
            order = life.exchange.place(NAME, limit(SPOT, BUY, 1, 9_000 + n), at_us)
            life.exchange.cancel(NAME, SPOT, at_us, order_id=order.order_id)
        assert life.commit()
        sizes.append(len(disk.files[FILE].data))
    assert any(later < earlier for earlier, later in pairwise(sizes)), "it was begun anew"
    assert len(life.exchange.accounts[NAME].order_history) < 800, "rows of old orders are dropped, here as on the disk"
    alive = image_of(life.exchange, NAME)
    assert len(alive.fills) == 400
    disk.lose_power()
    assert differences(alive, PaperAccount(disk.store(), {}).open(T)) == []


def test_a_file_of_another_program_is_refused():
    disk = Disk()
    life = Life(disk)
    life.file._news = msgspec.structs.replace(life.file._news, totals={"USDC": "much"})
    life.file.commit(life.exchange)
    disk.kill()
    with pytest.raises(PaperAccountError, match="does not know"):
        Life(disk)


def test_claims_flags_leverage_and_settlements_are_kept_as_well():
    pools = {"USDC": Loan(weight_ppm=10**6, supply_atoms=10**15, demand_atoms=5 * 10**14)}
    disk, rules = Disk(), Rules(loans=pools, settlement_interval_us=10_000_000, interest_interval_us=60_000_000)

    def life():
        file, exchange = PaperAccount(disk.store(), BALANCES), Exchange((spot(), perp()), rules)
        exchange.advance(T)
        exchange.restore_account(NAME, file.open(T), T)
        return file, exchange

    file, exchange = life()
    exchange.set_reference(PERP, 10_000, 10_000, 0, T)
    exchange.state_book(PERP, [(SELL, 10_000, 500)], T)
    exchange.place(NAME, market(PERP, BUY, 100), T)
    exchange.borrow_lend(NAME, "USDC", 5_000 * 10**9, T)
    exchange.set_flags(NAME, T, auto_repay_borrows=True)
    exchange.set_imf_floor(NAME, 100_000)
    for minute in range(1, 4):
        exchange.set_reference(PERP, 10_000 + minute, 10_000, 0, T + minute * 60_000_000)
        exchange.advance(T + minute * 60_000_000 + 10_000_000)
        file.note(exchange.take_effects(), exchange)
        assert file.commit(exchange)
    before = exchange.accounts[NAME]
    assert before.lent["USDC"] > 5_000 * 10**9
    assert len(before.settlements) >= 3
    disk.lose_power()
    _, again = life()
    after = again.accounts[NAME]
    for name in ("lent", "interest", "settlements", "auto_lend", "auto_borrow_settlements", "auto_repay_borrows", "imf_floor_ppm"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.total("USDC") == before.total("USDC")
    again.set_reference(PERP, 10_003, 10_000, 0, T)  # the market's own prices come from the market again
    assert again.margin(NAME) == exchange.margin(NAME)
    again.check_closed()
