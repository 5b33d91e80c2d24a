{{ document }} № {{ document_number }} от {{ document_date }} — в этом письме, файлом PDF.

Сумма: {{ amount }}
{% if due_date %}Оплатить до: {{ due_date }}
{% endif %}
Все документы — в личном кабинете: {{ cabinet_url }}

{{ partner_name }}
