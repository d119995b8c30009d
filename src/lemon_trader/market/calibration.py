"""What a synthetic market is like, as numbers, and where each was measured.

Facts were measured on recordings of real markets by `benchmarks/stylised.py`, which prints them beside those of the synthetic market:
one day of trades of BTC/USDC, some minutes of the books of BTC and ETH, fifteen months of minute bars of seven coins, and a few
seconds of the exchange's own public stream. No recording is shipped. What no recording tells directly (how one order brings the next) was
set so that the facts come out alike.
"""

from typing import Final

from lemon_trader.core.units import US_PER_MS, US_PER_S

STEP_US: Final = 250 * US_PER_MS  # the price is looked at so often

# ---- the price: volatility out of many, each of which changes at its own pace (Calvet and Fisher 2004) ----

NEWS_PPM: Final = 250_000  # only in so many steps the price moves: seconds have fatter tails than minutes would give them
DEVIATION_PPB: Final = 104_000  # of the return of such a step in a usual market: minute bars deviate by 0.05 to 0.19 %
VOLATILITIES: Final = 8  # beside one another
VOLATILE_PPM: Final = (707_107, 1_224_745)  # a low and a high one multiply the deviation by this: roots of 0.5 and 1.5
SHORTEST_STEPS: Final = 120  # the quickest of them is drawn anew every 30 s on average,
SLOWER: Final = 4  # and each further one lasts this many times as long as the one before: the slowest for six days
JUMPS_PPM: Final = 15  # in one step: five a day
JUMP_PPB: Final = 2_000_000  # deviation of one
STRESS_PPM: Final = (500_000, 4_000_000)  # volatility beside the usual one as far as it makes takers haste and books thin

# ---- a perpetual beside its spot market: the premium reverts quickly and, below that, slowly ----

PREMIUMS: Final = ((3_500, 3_500), (600, 125_000))  # (deviation of one step, ppb; steps after which most of it is gone)

# ---- takers: clusters in time, long memory of sides, sizes over five decades ----

TAKES_PPM: Final = 273_000  # in one step of a market of usual pace: 1.09 a second (BTC/USDC, trades of one moment and side counted once)
OFFSPRING: Final = (  # (ppm of takes that bring another one, after so many µs on average)
    (380_000, 3 * US_PER_MS),  # 32 to 40 % of all come within 10 ms of the last
    (200_000, 800 * US_PER_MS),
    (180_000, 20 * US_PER_S),
)
CHILD_KEEPS_PPM: Final = 950_000  # of them are on their parent's side
PIECES_MAX: Final = 3_000  # the others are pieces of one large order after the other (after Lillo, Mike and Farmer 2005)
SIZES: Final = (  # (part of all takes that are smaller, ppm; lots of it, thousandths of the median)
    (0, 5),
    (50_000, 23),
    (100_000, 46),
    (200_000, 130),
    (300_000, 300),
    (400_000, 600),
    (500_000, 1_000),
    (600_000, 1_900),
    (700_000, 3_600),
    (800_000, 7_600),
    (900_000, 19_000),
    (950_000, 45_000),
    (980_000, 105_000),
    (990_000, 180_000),
    (998_000, 600_000),
    (1_000_000, 1_600_000),
)
TOUCH_PER_TAKE: Final = 160  # what usually rests at the best price is so many median takes

# ---- the book: what rests, by its distance ----

PROFILE: Final = (  # (from this distance to the best price on, ppm; lots of a level there, thousandths of the touch)
    (0, 1_000),  # the touch itself
    (1, 250),
    (40, 300),
    (100, 800),
    (200, 3_000),
    (400, 4_000),
    (700, 4_500),
    (1_000, 7_000),
    (1_600, 8_000),
    (2_500, 9_000),
    (5_000, 11_000),
)
PROFILE_END_PPM: Final = 10_000
CROWDED: Final = 2  # more levels than this in one such stretch become fewer
SPREAD_TICKS: Final = 1  # 99 % of the time in all three recorded books, and in every second of the exchange's own SOL_USDC that we hold
REFILL_US: Final = 60 * US_PER_MS  # after which a touch that was traded away is there again, on average
FOLLOWS_PPM: Final = 600_000  # in so many steps the quotes look where the price is
MET_PPM: Final = 200_000  # of their moves meet somebody who trades at the old price; the others only withdraw
CHANGES_PPM: Final = 700_000  # of mind in one step: most messages of a real book, of which a simulation needs a part
