"""An exchange as pure state: books, accounts, margin and triggers.

Read `exchange` for what can be asked of it, `orders` and `effects` for its vocabulary; then `desk` (entry and triggers), `matcher` (how
orders meet), `clearing` (how value moves) and `liquidation`. `book`, `triggers`, `listing` and `accounts` hold the state, `admission` and
`margin` the rules.
"""
