{{ next_charge_date }} спишем {{ amount }} за {{ product }}. Отменить: {{ cabinet_url }} {{ partner_name }}
