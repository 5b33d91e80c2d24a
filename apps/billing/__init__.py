"""Subscriptions and invoices: what is owed for which period, renewed once, numbered, posted and printed."""
