Оплата {{ amount }} прошла: {{ product }}. {{ partner_name }}
