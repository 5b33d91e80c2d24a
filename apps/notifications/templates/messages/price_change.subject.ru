{{ product }}: с {{ next_charge_date }} цена {{ amount }}
