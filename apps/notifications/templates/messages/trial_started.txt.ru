Пробный период начался. Перед первым списанием напомним.

{% if product %}Продукт: {{ product }}
{% endif %}{% if tariff %}Тариф: {{ tariff }}
{% endif %}{% if period_end %}Бесплатно до: {{ period_end }}
{% endif %}{% if amount %}Потом: {{ amount }}
{% endif %}{% if method %}Способ оплаты: {{ method }}
{% endif %}Отмените до конца пробного периода, и ничего не спишем.

{{ partner_name }}
Личный кабинет: {{ cabinet_url }}
