"""Money, clock, ids, outbox, due work, search keys, work items, faults: what every app rests on."""
