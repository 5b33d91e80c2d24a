"""T-Bank's official description of its API 1.80 (Apache 2.0), whole as published, and what of it is read otherwise.

Each deviation stands here: the file itself is held by its digest.
"""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema

PUBLISHED = gzip.decompress((Path(__file__).parent / "data" / "tbank_openapi_1.80.json.gz").read_bytes())
DIGEST = "6ca616825fb2801017068929f2a318fcff7a6a7c501b3836c03e96272f9188a3"
assert hashlib.sha256(PUBLISHED).hexdigest() == DIGEST, "Not the file that T-Bank published"
SPEC: dict[str, Any] = json.loads(PUBLISHED)
SCHEMAS: dict[str, Any] = SPEC["components"]["schemas"]


def _read_otherwise() -> None:
    data = SCHEMAS["Init_FULL"]["properties"]["DATA"]
    # It is one of several shapes that all admit any object, so that it would never be exactly one: any of them here.
    data["anyOf"] = data.pop("oneOf")
    for schema in SCHEMAS.values():
        # A receipt of format 1.2 is one of 1.05 as well, by their shapes: tests hold each to its own by name.
        receipt = schema.get("properties", {}).get("Receipt", {})
        if "oneOf" in receipt:
            receipt["anyOf"] = receipt.pop("oneOf")
    # Said to be a list and an object at once; its example, and format 1.05, have the object.
    del SCHEMAS["Receipt_FFD_12"]["properties"]["Payments"]["type"]
    for name in ("Items_FFD_105", "Items_FFD_12"):
        # The description is older than the rate: what it will be called is a setting of the connection.
        SCHEMAS[name]["properties"]["Tax"]["enum"] += ["vat22", "vat122"]


_read_otherwise()


def validate(schema: str | dict[str, Any], value: Any) -> None:
    """Raises ValidationError where a value is not as a schema, or one of the description's by its name, says."""
    found = SCHEMAS[schema] if isinstance(schema, str) else schema
    # Not `jsonschema.validate`: as a schema of JSON the description is refused for its `examples`, which are OpenAPI's.
    jsonschema.Draft202012Validator({**found, "components": SPEC["components"]}).validate(value)


def _of(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    about = SPEC["paths"][path]["post"]
    asked = about["requestBody"]["content"]["application/json"]["schema"]
    told = about["responses"]["200"]["content"]["application/json"]["schema"]
    return asked, told


def validate_call(path: str, body: Any, answer: Any) -> None:
    """A request and its answer; of a refusal that is about no payment what it has, there is no shape for it."""
    asked, told = _of(path)
    validate(asked, body)
    if isinstance(answer, dict) and not answer["Success"] and "PaymentId" not in answer:
        told = SCHEMAS[told["$ref"].rpartition("/")[2]] if "$ref" in told else told
        told = {**told, "required": ["Success", "ErrorCode"]}
        if told.get("type") == "array":
            # A list is refused by an object, of the shape of any other refusal.
            told = {**SCHEMAS["Response"], "required": ["Success", "ErrorCode"]}
    validate(told, answer)
