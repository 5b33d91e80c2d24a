"""The modules of ARMOR, one app each; who may import whom is in ARCHITECTURE.md."""
