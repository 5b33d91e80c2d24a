{% extends "layout.ru.html" %}
{% block preview %}{{ product }}: {{ amount }}{% endblock %}
{% block title %}Ваш заказ ждёт оплаты{% endblock %}
{% block body %}
<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">Мы оформили заказ по вашей просьбе. Оплатить его можно по ссылке: вход не нужен.</p>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="margin:4px 0 16px">
<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Заказ</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ product }}</td></tr>
<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">К оплате</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ amount }}</td></tr>
{% if due_date %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Оплатить до</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ due_date }}</td></tr>{% endif %}
</table>
<p style="margin:20px 0 8px"><a href="{{ pay_url }}" style="display:inline-block;padding:13px 26px;border-radius:8px;background:{{ colour }};color:#ffffff;font-size:16px;font-weight:600;text-decoration:none">Оплатить</a></p>
{% endblock %}
