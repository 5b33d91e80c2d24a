{{ next_charge_date }} продлим {{ product }}
