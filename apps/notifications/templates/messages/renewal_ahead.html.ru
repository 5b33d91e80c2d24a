{% extends "layout.ru.html" %}
{% block preview %}{{ product }}: {{ amount }}{% endblock %}
{% block title %}Скоро продлим подписку{% endblock %}
{% block body %}
<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">Напоминаем о ближайшем списании. Если всё в порядке, делать ничего не нужно.</p>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="margin:4px 0 16px">
{% if product %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Продукт</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ product }}</td></tr>{% endif %}
{% if tariff %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Тариф</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ tariff }}</td></tr>{% endif %}
{% if amount %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Сумма</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ amount }}</td></tr>{% endif %}
{% if next_charge_date %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">День списания</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ next_charge_date }}</td></tr>{% endif %}
{% if method %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Способ оплаты</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ method }}</td></tr>{% endif %}
{% if period_start %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Период с</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ period_start }}</td></tr>{% endif %}
{% if period_end %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Период до</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ period_end }}</td></tr>{% endif %}
</table>
<p style="margin:20px 0 8px"><a href="{{ cabinet_url }}" style="display:inline-block;padding:13px 26px;border-radius:8px;background:{{ colour }};color:#ffffff;font-size:16px;font-weight:600;text-decoration:none">Управлять подпиской</a></p>
<p class="soft" style="margin:16px 0 0;font-size:14px;line-height:1.55;color:#64748b">Отменить подписку или отказаться от карты можно в личном кабинете до дня списания.{% if url %} <a href="{{ url }}" style="color:{{ colour }}">Сменить карту или отказаться от автосписаний без входа</a>.{% endif %}</p>
{% endblock %}
