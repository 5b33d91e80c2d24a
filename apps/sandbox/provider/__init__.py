"""A product provider with a plain REST protocol; PROVIDER_API.md describes it."""
