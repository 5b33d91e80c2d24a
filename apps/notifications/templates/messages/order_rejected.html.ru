{% extends "layout.ru.html" %}
{% block preview %}{{ product }}: {{ reason }}{% endblock %}
{% block title %}Заказ не будет исполнен{% endblock %}
{% block body %}
<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">Исполнить заказ, который вы оформили на будущее, не получилось. Деньги за него не списаны.</p>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="margin:4px 0 16px">
<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Заказ</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ product }}</td></tr>
{% if order_number %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Номер</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ order_number }}</td></tr>{% endif %}
<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Причина</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ reason }}</td></tr>
</table>
<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">Если он ещё нужен, оформите его снова.</p>
{% endblock %}
