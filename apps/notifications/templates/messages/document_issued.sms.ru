{{ document }} № {{ document_number }} на {{ amount }}: {{ cabinet_url }} {{ partner_name }}
