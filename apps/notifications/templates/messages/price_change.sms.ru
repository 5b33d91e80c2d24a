{{ product }}: с {{ next_charge_date }} цена {{ amount }} вместо {{ old_amount }}. {% if url %}Согласие: {{ url }}{% else %}Отменить: {{ cabinet_url }}{% endif %} {{ partner_name }}
