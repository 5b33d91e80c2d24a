{{ product }} приостановлена: нет оплаты {{ amount }}.{% if pay_url %} Оплатить: {{ pay_url }}{% endif %} {{ partner_name }}
