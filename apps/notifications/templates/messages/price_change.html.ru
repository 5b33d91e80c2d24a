{% extends "layout.ru.html" %}
{% block preview %}{{ product }}: {{ amount }}{% endblock %}
{% block title %}Цена подписки изменится{% endblock %}
{% block body %}
<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">С ближайшего списания после указанного дня подписка стоит по-новому. Пока ничего не списываем.</p>
{% if reason %}<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">{{ reason }}</p>{% endif %}
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="margin:4px 0 16px">
<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Продукт</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ product }}</td></tr>
{% if tariff %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Тариф</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ tariff }}</td></tr>{% endif %}
<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Сейчас</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ old_amount }}</td></tr>
<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Станет</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ amount }}</td></tr>
<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">С какого дня</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ next_charge_date }}</td></tr>
</table>
{% if url %}<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">Новая цена действует только с вашего согласия. Без ответа до {{ deadline }} подписку не продлим, и ничего не спишем.</p>{% else %}<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">Если новая цена не подходит, отмените подписку в личном кабинете до этого дня.</p>{% endif %}
{% if url %}<p style="margin:20px 0 8px"><a href="{{ url }}" style="display:inline-block;padding:13px 26px;border-radius:8px;background:{{ colour }};color:#ffffff;font-size:16px;font-weight:600;text-decoration:none">Ответить</a></p>{% else %}<p style="margin:20px 0 8px"><a href="{{ cabinet_url }}" style="display:inline-block;padding:13px 26px;border-radius:8px;background:{{ colour }};color:#ffffff;font-size:16px;font-weight:600;text-decoration:none">Управлять подпиской</a></p>{% endif %}
<p class="soft" style="margin:16px 0 0;font-size:14px;line-height:1.55;color:#64748b">До этого дня цена прежняя.</p>
{% endblock %}
