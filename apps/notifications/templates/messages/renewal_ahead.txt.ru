Напоминаем о продлении подписки.

{% if product %}Продукт: {{ product }}
{% endif %}{% if tariff %}Тариф: {{ tariff }}
{% endif %}{% if amount %}Сумма: {{ amount }}
{% endif %}{% if next_charge_date %}День списания: {{ next_charge_date }}
{% endif %}{% if method %}Способ оплаты: {{ method }}
{% endif %}{% if period_start %}Период с: {{ period_start }}
{% endif %}{% if period_end %}Период до: {{ period_end }}
{% endif %}
Если всё в порядке, делать ничего не нужно. Отменить подписку или отказаться от карты можно в личном кабинете до дня списания.
{% if url %}Сменить карту или отказаться от автосписаний без входа: {{ url }}
{% endif %}
{{ partner_name }}
Личный кабинет: {{ cabinet_url }}
