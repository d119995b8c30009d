"""`lemon-trader` with the real exchange's address replaced by a sandbox's: `python -m tests.process.paper_door REST_URL WS_URL WORDS …`.

The address is a constant of the program, and no flag changes it. Everything else is the door as it is.
"""

import sys

from msgspec.structs import replace

from lemon_trader.cli.app import main
from lemon_trader.exchanges import catalog

if __name__ == "__main__":
    rest_url, ws_url, *words = sys.argv[1:]
    known = catalog.EXCHANGES["backpack"]
    catalog.EXCHANGES["backpack"] = replace(known, rest_url=rest_url, ws_url=ws_url)
    sys.exit(main(words))
