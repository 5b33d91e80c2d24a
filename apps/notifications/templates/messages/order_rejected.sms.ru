Заказ {{ product }} не будет исполнен: {{ reason }}. Деньги не списаны. {{ partner_name }}
