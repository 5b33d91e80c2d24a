"""Registers of gateways that give them as files, downloaded in the simulator's cabinet as a person would."""

from datetime import date

import httpx

from apps.connectors.models import Connection


def downloaded(connection: Connection, first: date, last: date, *, form: str = "xlsx") -> bytes:
    """The file of a range of days."""
    config = connection.config
    base = config["base_url"].removesuffix("/v2")
    if "terminal_key" in config:
        name, secret = config["terminal_key"], config["password"]
        address = f"{base}/cabinet/{name}/registry.csv"
    else:
        name, secret = config["login"], config["password_1"]
        address = f"{base}/cabinet/{name}/operations.{form}"
    asked = {"from": str(first), "to": str(last)}
    answer = httpx.get(address, params=asked, auth=(name, secret), trust_env=False, verify=False)
    answer.raise_for_status()
    return answer.content
