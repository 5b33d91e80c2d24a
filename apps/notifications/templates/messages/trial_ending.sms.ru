{{ product }}: пробный период до {{ period_end }}, потом {{ amount }}. Выбрать, как платить: {{ pay_url }} {{ partner_name }}
