"""Shop windows on the partners' hosts: catalogue, checkout, cabinet."""
