"""`journal verify | repair`: look a journal's chain through, and go round what rotted."""

import time
from collections.abc import Sequence
from typing import Final

from lemon_trader.cli.doors import DONE, FAILED
from lemon_trader.cli.flags import HELP, MODE_FLAGS, Group, Typed
from lemon_trader.cli.running import OURS, running_stores
from lemon_trader.cli.screen import print_table, print_text
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.settings import LOCK_FILE, MODES
from lemon_trader.database.chain import JournalTooNew, examine, segment_bytes, segment_files
from lemon_trader.database.journal import JournalForeign
from lemon_trader.database.journal_care import Verified, repair, verify
from lemon_trader.env_live import FolderStore
from lemon_trader.messages.catalogue import say
from lemon_trader.strategies.parameter import Parameter

ACCOUNT: Final = Parameter("account", "--account", "text", None, "help.account")


def groups() -> Sequence[Group]:
    """The flags of both commands."""
    return [("group.house", (*MODE_FLAGS, ACCOUNT, *OURS, HELP))]


def verify_all(typed: Typed) -> int:
    """Verify the journal of each mode that was used here, or of the one that is named; 1 when one is damaged."""
    damaged = False
    for mode, store in _stores(typed).items():
        try:
            found = verify(store)
        except JournalTooNew as error:
            print_text(say("journal.unreadable", mode=mode, reason=error))
            damaged = True
            continue
        damaged = damaged or bool(found.damage)
        _print_verified(mode, found)
    return FAILED if damaged else DONE


def repair_one(typed: Typed) -> int:
    """Repair the journal of the mode that the flags name; no engine may be using it. Raises BadSetting."""
    asked = [mode for mode in MODES if typed.flags.get(mode)]
    if len(asked) != 1:
        raise BadSetting("journal.which-mode")
    mode = asked[0]
    store = _stores(typed)[mode]
    if not store.lock(LOCK_FILE):
        raise BadSetting("journal.in-use", mode=mode)
    try:
        account = typed.flags.get("account") or _account_of(store)
        done = repair(store, mode=mode, account=account, now_us=time.time_ns() // 1_000)
    except (JournalForeign, JournalTooNew) as error:
        print_text(say("journal.unreadable", mode=mode, reason=error))
        return FAILED
    finally:
        store.close()
    for one in done:
        print_text(say("journal.repaired", damaged=one.damaged, file=one.file, offset=one.offset, left=one.left_bytes, rescued=one.rescued))
    if not done:
        print_text(say("journal.nothing-to-repair", mode=mode))
    return DONE


def _stores(typed: Typed) -> dict[str, FolderStore]:
    stores = running_stores(typed)
    if not stores:
        raise BadSetting("journal.none")
    return stores


def _account_of(store: FolderStore) -> str:
    """The account's label as the journal's first readable header states it, whatever is damaged behind. Raises BadSetting."""
    damage = ""
    for file, _, revision in segment_files(store, "journal"):
        segment, damage = examine(file, revision, segment_bytes(store, file), None)
        if segment is not None:
            return segment.header.account
    raise BadSetting("journal.account-unknown", reason=damage) if damage else BadSetting("journal.none")


def _print_verified(mode: str, found: Verified) -> None:
    rows: list[Sequence[object]] = [
        (("journal.segments", {}), found.segments),
        (("journal.records", {}), found.records),
        (("journal.entries", {}), found.entries),
        (("journal.clean-bytes", {}), found.clean_bytes),
        (("journal.torn-bytes", {}), found.torn_bytes),
        (("journal.end-hash", {}), found.end_hash),
        (("journal.damage", {}), found.damage or ("word.none", {})),
    ]
    print_table(say("journal.title", mode=mode), ("", ""), rows)
    if found.damage:
        print_text(say("journal.damaged", mode=mode))
