{{ headline }}

{% if reason %}{{ reason }}

{% endif %}{% if amount %}Сумма: {{ amount }}
{% endif %}{% if deadline %}Ответить до: {{ deadline }}
{% endif %}
Открыть в консоли: {{ page_url }}
{{ partner_name }}
