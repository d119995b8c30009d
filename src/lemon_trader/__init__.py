"""Market making and martingale on Backpack Exchange, with the exchange's own sandbox."""

__version__ = "0.1.0"
