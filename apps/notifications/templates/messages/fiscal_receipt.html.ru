{% extends "layout.ru.html" %}
{% block preview %}{{ receipt_kind }}: {{ amount }}{% endblock %}
{% block title %}Кассовый чек{% endblock %}
{% block body %}
<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">Высылаем кассовый чек. Проверить его можно по ссылке или по номерам ниже: в приложении ФНС «Проверка чеков».</p>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="margin:4px 0 16px">
<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Признак расчёта</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ receipt_kind }}</td></tr>
<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Сумма</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ amount }}</td></tr>
{% if product %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">За что</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ product }}</td></tr>{% endif %}
{% if receipt_date %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Пробит</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ receipt_date }}</td></tr>{% endif %}
<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">ФН</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ fn }}</td></tr>
<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">ФД</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ fd }}</td></tr>
<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">ФПД</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ fpd }}</td></tr>
</table>
{% if receipt_url %}<p style="margin:20px 0 8px"><a href="{{ receipt_url }}" style="display:inline-block;padding:13px 26px;border-radius:8px;background:{{ colour }};color:#ffffff;font-size:16px;font-weight:600;text-decoration:none">Открыть чек</a></p>{% endif %}
{% endblock %}
