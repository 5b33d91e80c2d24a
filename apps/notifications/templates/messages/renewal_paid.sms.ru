{{ product }}: продлено до {{ period_end }}, списано {{ amount }}. {{ partner_name }}
