Высылаем кассовый чек. Проверить его можно по ссылке или по номерам ниже: в приложении ФНС «Проверка чеков».

Признак расчёта: {{ receipt_kind }}
Сумма: {{ amount }}
{% if product %}За что: {{ product }}
{% endif %}{% if receipt_date %}Пробит: {{ receipt_date }}
{% endif %}ФН: {{ fn }}
ФД: {{ fd }}
ФПД: {{ fpd }}
{% if receipt_url %}
Открыть чек: {{ receipt_url }}
{% endif %}
{{ partner_name }}
Личный кабинет: {{ cabinet_url }}
