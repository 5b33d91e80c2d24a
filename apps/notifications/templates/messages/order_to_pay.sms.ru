Ваш заказ: {{ product }}, {{ amount }}. Оплатить: {{ pay_url }} {{ partner_name }}
