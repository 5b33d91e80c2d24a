Чек на {{ amount }}: ФН {{ fn }}, ФД {{ fd }}, ФПД {{ fpd }}.{% if receipt_url %} {{ receipt_url }}{% endif %} {{ partner_name }}
