"""The tables of settings in the docs are what the declarations say."""

import pytest
from tests.shape.sources import ROOT

from lemon_trader.cli.declared import declarations
from lemon_trader.cli.parameters import FILES, markdown
from lemon_trader.config.general import GENERAL
from lemon_trader.config.values import default, doubt, parse, show
from lemon_trader.messages.catalogue import knows
from lemon_trader.strategies.parameter import KINDS

ALL = [*GENERAL, *(p for parameters in declarations().values() for p in parameters)]


@pytest.mark.parametrize("language", FILES)
def test_the_pages_are_up_to_date(language):
    text = (ROOT / "docs" / FILES[language]).read_text(encoding="utf-8")
    assert text == markdown(language), "run: python -m lemon_trader.cli.parameters docs"


@pytest.mark.parametrize("parameter", ALL, ids=lambda p: p.name)
def test_every_declaration_holds_together(parameter):
    assert parameter.kind in KINDS
    assert parameter.flag == "--" + parameter.name.replace("_", "-")
    assert knows(parameter.help)
    value = default(parameter)
    assert parse(parameter, show(parameter, value)) == value
    assert doubt(parameter, value) is None, "a default raises no question"
    assert (parameter.kind in {"choice", "levels"}) == bool(parameter.choices)


def test_one_name_has_one_flag_and_one_kind_everywhere():
    kinds = {}
    for parameter in ALL:
        assert kinds.setdefault(parameter.name, (parameter.flag, parameter.kind)) == (parameter.flag, parameter.kind)
