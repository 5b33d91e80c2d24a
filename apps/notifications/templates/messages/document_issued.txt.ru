{{ document }} № {{ document_number }} от {{ document_date }} — в этом письме, файлом PDF.

Сумма: {{ amount }}
{% if due_date %}Оплатить до: {{ due_date }}
{% endif %}
{{ partner_name }}
Личный кабинет: {{ cabinet_url }}
