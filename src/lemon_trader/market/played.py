"""Which recordings a text names: `FILE`, or several with commas, each with its market before it, as in `SOL_USDC=a.csv,b.parquet`."""

from pathlib import Path

from lemon_trader.market.errors import RecordingError


def named_recordings(text: str, symbol: str | None = None) -> list[tuple[str | None, Path]]:
    """(market, file) of each; the market is None where the program's own table must know the file.

    `symbol` is the market of a single file that names none itself. A file whose own name has a comma or an equals sign is meant whole.

    Raises:
        RecordingError: a part without a file, or a market that is named twice.
    """
    if Path(text).is_file():
        return [(symbol, Path(text))]
    named: list[tuple[str | None, Path]] = []
    for part in text.split(","):
        market, equals, file = part.strip().partition("=")
        if not (file if equals else market) or (equals and not market):
            raise RecordingError("recording.unnamed" if part.strip() else "recording.empty-part", part=part.strip(), market=text)
        named.append((market, Path(file)) if equals else (None, Path(market)))
    if len(named) == 1 and named[0][0] is None:
        return [(symbol, named[0][1])]
    markets = [market for market, _ in named if market is not None]
    twice = next((market for market in markets if markets.count(market) > 1), None)
    if twice is not None:
        raise RecordingError("recording.twice", market=text, symbol=twice)
    return named
