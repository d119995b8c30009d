"""The program's door: the command `lemon-trader`."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from lemon_trader.cli.app import main as run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
