{{ headline }}
