{{ product }}: нужны данные, ответьте {{ ask_url }} {{ partner_name }}
