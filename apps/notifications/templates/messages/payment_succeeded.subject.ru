Оплачено: {{ product }}
