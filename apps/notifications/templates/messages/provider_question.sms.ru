{{ product }}: поставщик спрашивает, ответьте {{ ask_url }} {{ partner_name }}
