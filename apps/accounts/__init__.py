"""Customers of a partner: who they are, how they sign in, how they are forgotten."""
