{{ product }}{% if key %}: ключ {{ key }}{% endif %}{% if url %} {{ url }}{% endif %}. {{ partner_name }}
