Не получилось списать оплату за подписку.

{% if product %}Продукт: {{ product }}
{% endif %}{% if tariff %}Тариф: {{ tariff }}
{% endif %}{% if amount %}Сумма: {{ amount }}
{% endif %}{% if reason %}Причина: {{ reason }}
{% endif %}{% if method %}Способ оплаты: {{ method }}
{% endif %}{% if invoice_number %}Счёт: {{ invoice_number }}
{% endif %}{% if next_charge_date %}Попробуем ещё раз: {{ next_charge_date }}
{% endif %}{% if ends_on %}Ждём оплату до: {{ ends_on }}
{% endif %}{% if period_end %}Действует до: {{ period_end }}
{% endif %}{% if pay_url %}
Оплатить или сменить карту: {{ pay_url }}
{% endif %}
{{ partner_name }}
Личный кабинет: {{ cabinet_url }}
