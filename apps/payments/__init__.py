"""Payments at gateways, saved methods and refunds: a charge is made once, unknown is never failed."""
