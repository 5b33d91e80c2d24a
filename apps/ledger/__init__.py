"""The ledger: transfers between accounts that nobody can change afterwards."""
