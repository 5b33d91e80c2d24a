Подписка отменена, списаний больше не будет.

{% if product %}Продукт: {{ product }}
{% endif %}{% if tariff %}Тариф: {{ tariff }}
{% endif %}{% if period_end %}Доступ до: {{ period_end }}
{% endif %}{% if reason %}Причина: {{ reason }}
{% endif %}
{{ partner_name }}
Личный кабинет: {{ cabinet_url }}
