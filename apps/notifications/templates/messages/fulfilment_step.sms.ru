{{ product }}: {{ text }} {{ partner_name }}
