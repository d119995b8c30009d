"""The program's own sources as syntax trees: what every shape test reads."""

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "lemon_trader"
SKIPPED = {"__pycache__", "build", "dist", "data-store", "settings"}  # besides every hidden folder but .ci


@dataclass(frozen=True)
class Source:
    """One file of the package: `name` is its path under `lemon_trader` without suffix, as in `core/units` or `matching` for a package."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        """The folder directly under the package, or the file itself."""
        return self.name.split("/")[0]


@cache
def sources() -> tuple[Source, ...]:
    """Every module of the package."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).with_suffix("").as_posix().removesuffix("__init__").rstrip("/") or "."
        found.append(Source(name, path, ast.parse(path.read_text(encoding="utf-8"), str(path))))
    return tuple(found)


def is_ours(folder: str) -> bool:
    """False for what tools leave: environments, caches, builds, and the records of runs."""
    return folder == ".ci" or not (folder.startswith(".") or folder in SKIPPED or folder.endswith(".egg-info"))


@cache
def texts() -> tuple[tuple[str, str], ...]:
    """Every text file of the project: (path under the root, content)."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if is_ours(name))
        for name in sorted(files):
            path = Path(folder) / name
            if name == ".env":
                continue
            try:
                found.append((path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")))
            except (UnicodeDecodeError, FileNotFoundError):
                continue
    return tuple(found)


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of each import, wherever in the file it stands; `from a import b` gives `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the package in full"
            yield node.lineno, node.module or ""
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"
