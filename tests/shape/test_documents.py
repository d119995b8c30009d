"""The documents stand on their own: links lead to pages and headings, named files exist, and every page can be found from the index.

That no path of a machine stands in them is kept for all files alike by `test_files.py`.
"""

import re
from pathlib import Path

import pytest
from tests.shape.sources import PACKAGE, ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`((?:[a-z_]+/)+[a-z_]+\.py)`")


def links(page: Path) -> list[str]:
    return LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8")))


def is_elsewhere(link: str) -> bool:
    return re.match(r"[a-z]+:", link) is not None


def anchors(text: str) -> set[str]:
    """The names under which headings can be linked to, as the usual renderers make them."""
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_to_a_page_and_a_heading_that_exist(page):
    wrong = []
    for link in links(page):
        if is_elsewhere(link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            wrong.append(f"{link}: no such page")
        elif anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
            wrong.append(f"{link}: no such heading")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_are_relative_so_that_a_clone_can_be_read_anywhere(page):
    assert not [link for link in links(page) if link.startswith(("/", "file:"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_source_file_that_a_page_names_exists(page):
    named = set(NAMED.findall(page.read_text(encoding="utf-8")))
    missing = {name for name in named if not (PACKAGE / name).exists() and not (ROOT / name).exists()}
    if page.name == "seed.md":  # its left column names the first README's files, which are gone
        missing = {name for name in missing if name.startswith(("tests/", "benchmarks/"))}
    if "decisions" in page.parts or page.name == "architecture.md":  # they name what the first design wanted
        missing -= {"exchanges/backpack.py"}
    assert not missing


def test_every_page_can_be_found_from_the_index():
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / link).resolve() for link in links(index) if not is_elsewhere(link)}
    pages = set((ROOT / "docs").rglob("*.md")) - {index}
    assert not {page.relative_to(ROOT).as_posix() for page in pages - listed}


@pytest.mark.parametrize(
    ("title", "anchor"),
    [
        ("# What is not promised", "what-is-not-promised"),
        ("## Defaults for 500 USDC on SOL_USDC", "defaults-for-500-usdc-on-sol_usdc"),
        ("## 賺多少、賠多少", "賺多少賠多少"),
    ],
)
def test_the_rule_itself_makes_anchors_as_renderers_do(title, anchor):
    assert anchors(title) == {anchor}
