{% extends "layout.ru.html" %}
{% block preview %}{{ method }}{% endblock %}
{% block title %}Автосписания отключены{% endblock %}
{% block body %}
<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">Мы больше ничего не спишем с этого способа оплаты. Другой вместо него не возьмётся: подписки проработают до конца оплаченного времени.</p>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="margin:4px 0 16px">
{% if method %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Способ оплаты</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ method }}</td></tr>{% endif %}
{% if product %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Продукт</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ product }}</td></tr>{% endif %}
</table>
{% endblock %}
