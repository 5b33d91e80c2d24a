"""«Пульт исполнения»: what is not settled over all partners, an order's way, and what staff do about it."""
