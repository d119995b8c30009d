"""Files are short, finished, documented, and say nothing of the machine they were written on."""

import ast
import re

from tests.shape.sources import ROOT, sources, texts

LINES_MAX = 600
MARKERS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
PLACES = re.compile(
    r"(?:^|[^A-Za-z0-9_.:])/(?:" + "|".join(("wor" + "k", "far" + "m", "hom" + "e", "Use" + "rs", "roo" + "t")) + r")/[A-Za-z]"
)
GENERATED = {
    "requirements.txt", "requirements-dev.txt", "requirements-keyring.txt", "requirements-notify.txt", "requirements-analysis.txt",
    "requirements-cluster.txt",
}  # fmt: skip


def test_no_python_file_is_longer_than_the_bound():
    long = [f"{name}: {text.count(chr(10))} lines" for name, text in texts() if name.endswith(".py") and text.count("\n") > LINES_MAX]
    assert not long, "\n".join(long)


def test_nothing_is_marked_unfinished():
    found = [f"{name}: {m.group()}" for name, text in texts() if name.endswith((".py", ".po", ".toml")) for m in MARKERS.finditer(text)]
    assert not found, "\n".join(found)


def test_nothing_raises_that_it_is_not_written_yet():
    found = [
        f"{source.name}:{node.lineno}"
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Raise) and node.exc is not None and "NotImplementedError" in ast.unparse(node.exc)
    ]
    assert not found, "\n".join(found)


def test_no_error_is_swallowed():
    found = []
    for source in sources():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ExceptHandler):
                broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
                silent = all(isinstance(s, (ast.Pass, ast.Continue)) for s in node.body)
                if broad and silent:
                    found.append(f"{source.name}:{node.lineno}")
    assert not found, "\n".join(found)


def test_no_path_of_a_machine_stands_in_a_file():
    found = [f"{name}: {m.group()!r}" for name, text in texts() if name not in GENERATED for m in PLACES.finditer(text)]
    assert not found, "\n".join(found)


def test_lock_files_carry_hashes_and_no_addresses():
    for name in sorted(GENERATED):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert "://" not in text
        assert "--index-url" not in text


def test_every_public_thing_says_what_it_is():
    silent = [source.name for source in sources() if not ast.get_docstring(source.tree)]
    silent += [
        f"{source.name}:{node.lineno} {node.name}"
        for source in sources()
        for node in source.tree.body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_")
        if not ast.get_docstring(node)
    ]
    assert not silent, "\n".join(silent)
