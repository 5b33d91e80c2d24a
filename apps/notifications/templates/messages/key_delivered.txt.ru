{{ product }}: доступ готов.

{% if key %}Ключ активации: {{ key }}
{% endif %}{% if url %}Открыть: {{ url }}
{% endif %}{% if tariff %}Тариф: {{ tariff }}
{% endif %}{% if period_end %}Действует до: {{ period_end }}
{% endif %}{% if instructions %}
Как активировать:
{{ instructions }}
{% endif %}
{{ partner_name }}
Личный кабинет: {{ cabinet_url }}
