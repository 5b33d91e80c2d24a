"""Robokassa simulator: shops, signed links and their page, recurring charges, states, refunds, ResultURL."""
