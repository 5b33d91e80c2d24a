С {{ method }} больше ничего не спишем. {{ partner_name }}
