"""Where a simulated market comes from: recordings and synthetic order flow."""
