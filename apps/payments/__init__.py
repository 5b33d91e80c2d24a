"""Payments at gateways, saved payment methods and refunds: each charge is made once, unknown is never failed."""
