"""Other parameters for a pair that trades: what would change and when it would act, and then the change itself.

Checked as a start checks them, against the market as it is now; what is refused changes nothing. A change is a command of the user's in the
journal, with everything that holds from then on. It lasts until the next start, which has settings of its own.
"""

from collections.abc import Mapping
from typing import Any, Final

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.values import nearest, parse, show
from lemon_trader.core.events import UserCommand
from lemon_trader.engine.startup import StartRefused
from lemon_trader.engine.turn import Engine
from lemon_trader.messages.catalogue import shown
from lemon_trader.run.parts import check_reach, market_of, texts_of, values_of
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import START, Parameter, StrategyRefused, Value

DETAIL_MAX: Final = 200


def answer(engine: Engine, now_us: int, request: Mapping[str, Any]) -> dict[str, Any]:
    """What a face gets for its request: `symbol`, `params` (text by name), `apply`, `origin`.

    Returns:
        `edit`: strategy and symbol, every parameter with its value, its new one (None = as it is) and when a change of it acts, warnings,
        and whether it was done; or `refused`: message ids with their values.
    """
    given = request.get("params")
    texts = {str(k)[:60]: v for k, v in given.items() if isinstance(v, str)} if isinstance(given, dict) else {}
    try:
        edit = Edit(engine, str(request.get("symbol", ""))[:60], texts)
        if request.get("apply") is True:
            edit.do(now_us, str(request.get("origin", "control"))[:40])
            return {"edit": edit.picture() | {"done": True}}
        return {"edit": edit.picture() | {"done": False}}
    except BadSetting as refused:
        return {"refused": [[r.key, _plain(r.values)] for r in (refused, *refused.others)]}
    except (StrategyRefused, StartRefused) as refused:
        return {"refused": [[refused.key, _plain(refused.values)]]}


class Edit:
    """A change that was checked and is not done yet."""

    def __init__(self, engine: Engine, symbol: str, texts: Mapping[str, str]) -> None:
        """Check it. Raises BadSetting, StrategyRefused, StartRefused."""
        state = engine.state
        traded = sorted(s for s, m in state.markets.items() if m.binding is not None)
        if not symbol and len(traded) != 1:
            raise BadSetting("edit.which", traded=", ".join(traded))
        self._symbol = symbol or traded[0]
        if self._symbol not in traded:
            raise BadSetting("running.not-traded", symbol=self._symbol, traded=", ".join(traded))
        self._engine = engine
        self._started = state.started[self._symbol]
        self._strategy = STRATEGIES[self._started.strategy]
        self._known = {p.name: p for p in self._strategy.parameters}
        self._now = values_of(self._strategy, self._started.params)
        self._then: dict[str, Value] = {}
        for name, text in texts.items():
            parameter = self._parameter(name)
            value = parse(parameter, text)
            if value == self._now[name]:
                continue
            if parameter.acts == START:
                raise BadSetting("edit.at-start", name=parameter.flag, value=show(parameter, value), now=show(parameter, self._now[name]))
            self._then[name] = value
        market = market_of(state, state.markets[self._symbol].instrument)
        values = self._now | self._then
        if self._then:
            params = self._strategy.build(values, market)
            check_reach(self._symbol, params, state.markets[self._symbol].limits.collar_ppm)
        self._warnings = self._strategy.warnings(values, market) if self._then else []

    def picture(self) -> dict[str, Any]:
        """What a face shows of it."""
        return {
            "symbol": self._symbol,
            "strategy": self._strategy.name,
            "parameters": [
                {
                    "name": p.name,
                    "flag": p.flag,
                    "now": show(p, self._now[p.name]),
                    "then": show(p, self._then[p.name]) if p.name in self._then else None,
                    "acts": p.acts,
                }
                for p in self._strategy.parameters
            ],
            "warnings": [[key, _plain(values)] for key, values in self._warnings],
        }

    def do(self, now_us: int, origin: str) -> None:
        """Journal it and go on by it. Raises BadSetting where there is nothing to do."""
        if not self._then:
            raise BadSetting("edit.nothing", symbol=self._symbol)
        rows = [f"{n} {show(self._known[n], self._now[n])} → {show(self._known[n], v)}" for n, v in self._then.items()]
        params = texts_of(self._now | self._then)
        self._engine.turn([UserCommand(now_us, "edit", self._symbol, origin, ", ".join(rows)[:DETAIL_MAX], params)])

    def _parameter(self, name: str) -> Parameter:
        if name in self._known:
            return self._known[name]
        likely = nearest(name, self._known)
        strategy = self._strategy.name
        if likely is None:
            raise BadSetting("edit.unknown", name=name, strategy=strategy)
        raise BadSetting("edit.unknown.meant", name=name, strategy=strategy, likely=likely)


def _plain(values: Mapping[str, object]) -> dict[str, str]:
    return {name: shown(value) for name, value in values.items()}
