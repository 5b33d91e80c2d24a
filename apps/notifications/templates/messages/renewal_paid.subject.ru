{{ product }}: подписка продлена до {{ period_end }}
