"""The simulator of a partner's own billing, which charges its clients when it is asked."""
