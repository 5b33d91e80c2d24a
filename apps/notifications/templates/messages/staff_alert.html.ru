{% extends "layout.ru.html" %}
{% block preview %}{{ reason }}{% endblock %}
{% block title %}{{ headline }}{% endblock %}
{% block body %}
{% if reason %}<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">{{ reason }}</p>{% endif %}
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="margin:4px 0 16px">
{% if amount %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Сумма</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ amount }}</td></tr>{% endif %}
{% if deadline %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Ответить до</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ deadline }}</td></tr>{% endif %}
</table>
<p style="margin:20px 0 8px"><a href="{{ page_url }}" style="display:inline-block;padding:13px 26px;border-radius:8px;background:{{ colour }};color:#ffffff;font-size:16px;font-weight:600;text-decoration:none">Открыть в консоли</a></p>
{% endblock %}
{% block foot %}Письмо сотрудникам: его получают те, кто может на это ответить.{% endblock %}
