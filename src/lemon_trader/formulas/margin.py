"""What a perpetual position needs of an account, and the price at which the exchange takes it away. Cross margin, one position.

Equity = cash + unrealised profit at the mark. A position stands while equity covers the maintenance fraction of its notional at the mark.
Sides are +1 for a long position and -1 for a short one. These run when a plan is shown: their numbers outgrow 64 bits.
"""

from lemon_trader.formulas.rounding import PPM, ceil_div


def margin_atoms(notional_atoms: int, fraction_ppm: int) -> int:
    """Margin that a notional asks for, quote atoms, rounded up."""
    return ceil_div(notional_atoms * fraction_ppm, PPM)


def liquidation_ticks(cost_atoms: int, lots: int, tick_lot_atoms: int, cash_atoms: int, maintenance_ppm: int, side: int) -> int:
    """The nearest mark at which the position does not stand any more, ticks: the highest for a long, the lowest for a short; 0 = none.

    Args:
        cost_atoms: what the position cost (of a short: brought), > 0.
        lots: its size, unsigned, > 0.
        tick_lot_atoms: quote atoms of one lot at one tick.
        cash_atoms: the account's settlement balance without the position's unrealised profit; fees are paid out of it already.
        maintenance_ppm: fraction of the notional that must be covered, below 10**6.
        side: +1 long, -1 short.
    """
    worth = lots * tick_lot_atoms
    if side > 0:
        # Stands while cash + worth x ticks - cost >= fraction x worth x ticks.
        stands = ceil_div((cost_atoms - cash_atoms) * PPM, worth * (PPM - maintenance_ppm))
        return max(stands - 1, 0)
    # Stands while cash + cost - worth x ticks >= fraction x worth x ticks.
    return max((cash_atoms + cost_atoms) * PPM // (worth * (PPM + maintenance_ppm)) + 1, 1)
