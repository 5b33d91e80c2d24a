"""What is sold: products, tariffs and their versions, offers to partners, the price list."""
