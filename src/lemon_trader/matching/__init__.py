"""An exchange as pure state: books, accounts, margin and triggers."""
