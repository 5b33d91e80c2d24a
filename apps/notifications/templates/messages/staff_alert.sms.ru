{{ headline }}{% if deadline %}: {{ deadline }}{% endif %}. {{ page_url }}
