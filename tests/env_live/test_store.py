"""The store on a real disk: nothing leaves its folder, nothing is readable by others, a full disk leaves no torn record."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from lemon_trader.env_live import BadName, FolderStore

POSIX = pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
BAD_NAMES = ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\0b", ".hidden", "-rf", "a b", "a\nb", "é", "x" * 101, "end.", "c:x", "a\\b"]


@pytest.fixture
def store(tmp_path):
    opened = FolderStore(tmp_path / "deep" / "store")
    yield opened
    opened.close()


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_could_leave_the_folder_is_refused_by_every_call(store, name):
    for call in (store.read, store.open_append, store.lock, lambda n: store.replace(n, b""), lambda n: store.truncate(n, 0)):
        with pytest.raises(BadName):
            call(name)


def test_what_was_appended_is_read_and_goes_on_after_opening_again(store):
    first = store.open_append("journal.1")
    first.append(b"one")
    first.append(b"two")
    first.sync()
    first.close()
    first.close()
    again = store.open_append("journal.1")
    again.append(b"three")
    again.close()
    assert store.read("journal.1") == b"onetwothree"
    assert store.read("missing") == b""


def test_a_replacement_is_whole_and_its_draft_is_no_name(store, tmp_path):
    store.replace("latch", b"old")
    store.replace("latch", b"new")
    (tmp_path / "deep" / "store" / ".latch.new").write_bytes(b"of a process that died")
    assert store.read("latch") == b"new"
    assert store.names() == ["latch"]
    store.replace("latch", b"newer")
    assert store.read("latch") == b"newer"


def test_a_replacement_that_fails_leaves_the_old_content_and_no_draft(store, tmp_path, monkeypatch):
    store.replace("latch", b"old")

    def full(_handle, _data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        store.replace("latch", b"new")
    monkeypatch.undo()
    assert store.read("latch") == b"old"
    assert [p.name for p in (tmp_path / "deep" / "store").iterdir()] == ["latch"]


def test_an_append_that_a_full_disk_cut_leaves_nothing_of_the_record(store, monkeypatch):
    file = store.open_append("journal")
    file.append(b"whole")
    write, state = os.write, {"calls": 0}

    def half(handle, data):
        state["calls"] += 1
        if state["calls"] == 1:
            return write(handle, bytes(data)[:2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        file.append(b"torn")
    monkeypatch.undo()
    assert store.read("journal") == b"whole"
    file.append(b"after")
    assert store.read("journal") == b"wholeafter"
    file.close()


def test_a_tear_that_could_not_be_healed_at_once_is_healed_before_the_next_record(store, monkeypatch):
    file = store.open_append("journal")
    file.append(b"whole")
    write, truncate, state = os.write, os.ftruncate, {"calls": 0, "broken": True}

    def half(handle, data):
        state["calls"] += 1
        if state["calls"] == 1:
            return write(handle, bytes(data)[:2])
        raise OSError(errno.ENOSPC, "No space left on device")

    def stuck(handle, length):
        if state["broken"]:
            raise OSError(errno.EIO, "I/O error")
        truncate(handle, length)

    monkeypatch.setattr(os, "write", half)
    monkeypatch.setattr(os, "ftruncate", stuck)
    with pytest.raises(OSError, match="No space"):
        file.append(b"torn")
    assert store.read("journal") == b"wholeto"
    with pytest.raises(OSError, match="I/O"):
        file.append(b"after")
    state["broken"] = False
    monkeypatch.setattr(os, "write", write)
    file.append(b"after")
    assert store.read("journal") == b"wholeafter"
    file.close()


def test_a_write_that_the_system_takes_in_pieces_is_finished(store, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, bytes(data)[:3]))
    file = store.open_append("journal")
    file.append(b"0123456789")
    file.close()
    assert store.read("journal") == b"0123456789"


def test_a_torn_tail_is_cut(store):
    file = store.open_append("journal")
    file.append(b"0123456789")
    store.truncate("journal", 4)
    file.append(b"x")
    file.close()
    assert store.read("journal") == b"0123x"


@POSIX
def test_files_and_folders_are_their_owners_alone_even_when_they_were_loose(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir(mode=0o755)
    (folder / "old").write_bytes(b"x")
    (folder / "old").chmod(0o644)
    store = FolderStore(folder)
    store.open_append("old").close()
    store.open_append("new").close()
    store.replace("whole", b"x")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in ("old", "new", "whole")} == {0o600}


@POSIX
def test_a_link_under_one_of_our_names_is_not_followed(store, tmp_path):
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "deep" / "store" / "journal").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError):
        store.open_append("journal")
    with pytest.raises(OSError):
        store.read("journal")
    store.replace("journal", b"ours")
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_the_lock_is_ours_until_given_back_and_nobody_elses_meanwhile(tmp_path):
    mine, other = FolderStore(tmp_path), FolderStore(tmp_path)
    assert mine.lock("engine")
    assert mine.lock("engine")
    assert not other.lock("engine")
    mine.close()
    assert other.lock("engine")
    other.close()


@pytest.mark.process
def test_the_lock_ends_with_its_process_however_it_died(tmp_path):
    text = "import sys\nfrom pathlib import Path\nfrom lemon_trader.env_live import FolderStore\n"
    text += "print(FolderStore(Path(sys.argv[1])).lock('engine'), flush=True)\nsys.stdin.read()\n"
    holder = subprocess.Popen([sys.executable, "-c", text, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=child_env())
    store = FolderStore(tmp_path)
    try:
        assert holder.stdout.readline().strip() == b"True"
        assert not store.lock("engine")
    finally:
        holder.kill()
        holder.communicate()
    assert store.lock("engine")
    store.close()


@pytest.mark.process
def test_what_was_appended_survives_a_killed_process(tmp_path):
    text = "import os, signal, sys\nfrom pathlib import Path\nfrom lemon_trader.env_live import FolderStore\n"
    text += "FolderStore(Path(sys.argv[1])).open_append('journal').append(b'written')\nos.kill(os.getpid(), signal.SIGKILL)\n"
    subprocess.run([sys.executable, "-c", text, str(tmp_path)], check=False, env=child_env())
    assert FolderStore(tmp_path).read("journal") == b"written"


def child_env():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
