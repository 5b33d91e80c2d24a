{{ product }}: пробный период до {{ period_end }}, потом {{ amount }}. Отменить: {{ cabinet_url }} {{ partner_name }}
