Спасибо, оплата прошла.

{% if product %}Продукт: {{ product }}
{% endif %}{% if tariff %}Тариф: {{ tariff }}
{% endif %}{% if amount %}Сумма: {{ amount }}
{% endif %}{% if method %}Способ оплаты: {{ method }}
{% endif %}{% if invoice_number %}Счёт: {{ invoice_number }}
{% endif %}{% if period_start %}Период с: {{ period_start }}
{% endif %}{% if period_end %}Период до: {{ period_end }}
{% endif %}{% if next_charge_date %}Следующее списание: {{ next_charge_date }}
{% endif %}
{{ partner_name }}
Личный кабинет: {{ cabinet_url }}
