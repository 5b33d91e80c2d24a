{{ product }} завершится{% if ends_on %} {{ ends_on }}{% endif %}: нет оплаты {{ amount }}.{% if pay_url %} Оплатить: {{ pay_url }}{% endif %} {{ partner_name }}
