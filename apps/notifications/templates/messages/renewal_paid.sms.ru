«{{ product }}» продлён до {{ period_end }}, списано {{ amount }}. {{ partner_name }}
