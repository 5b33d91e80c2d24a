Оплаты так и нет, поэтому услуга приостановлена. Она включится сразу, как только вы оплатите по ссылке: вход не нужен.

{% if product %}Продукт: {{ product }}
{% endif %}{% if tariff %}Тариф: {{ tariff }}
{% endif %}{% if amount %}К оплате: {{ amount }}
{% endif %}{% if reason %}Причина: {{ reason }}
{% endif %}{% if method %}Способ оплаты: {{ method }}
{% endif %}{% if invoice_number %}Счёт: {{ invoice_number }}
{% endif %}{% if next_charge_date %}Попробуем списать сами: {{ next_charge_date }}
{% endif %}{% if ends_on %}Ждём оплату до: {{ ends_on }}
{% endif %}{% if period_end %}Оплачено до: {{ period_end }}
{% endif %}{% if pay_url %}
Оплатить или сменить карту: {{ pay_url }}
{% endif %}
{{ partner_name }}
Личный кабинет: {{ cabinet_url }}
