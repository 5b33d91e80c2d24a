Подписка {{ product }} отменена{% if period_end %}, доступ до {{ period_end }}{% endif %}. Списаний больше не будет. {{ partner_name }}
