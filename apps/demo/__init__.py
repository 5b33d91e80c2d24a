"""The demonstration: a lived-in platform, its controls, and a simulation through HTTP and the clock."""
