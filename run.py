"""The seed's unified door: `python run.py …`; `python run.py --help` lists its flags. The program itself is in `src/lemon_trader`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from lemon_trader.cli.door import enter

if __name__ == "__main__":
    sys.exit(enter("run.py"))
