{{ text }}

Продукт: {{ product }}
{{ partner_name }}
Личный кабинет: {{ cabinet_url }}
