"""The pages: shop window, purchase, cabinet."""
