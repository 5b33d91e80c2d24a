Напоминаем: {{ amount }} за {{ product }}.{% if pay_url %} Оплатить: {{ pay_url }}{% endif %} {{ partner_name }}
