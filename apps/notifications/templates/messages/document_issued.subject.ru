{{ document }} № {{ document_number }} от {{ document_date }}
