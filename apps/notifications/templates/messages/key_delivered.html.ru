{% extends "layout.ru.html" %}
{% block preview %}Ключ и инструкция внутри{% endblock %}
{% block title %}{{ product }}: доступ готов{% endblock %}
{% block body %}
{% if key %}
<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">Ваш ключ активации:</p>
<p class="box" style="margin:8px 0 20px;padding:16px 12px;border:1px dashed #94a3b8;border-radius:8px;background:#f8fafc;font:700 22px/1.35 Consolas,Menlo,monospace;letter-spacing:1px;text-align:center;word-break:break-all;color:#0f172a">{{ key }}</p>{% endif %}{% if url %}
<p style="margin:20px 0 8px"><a href="{{ url }}" style="display:inline-block;padding:13px 26px;border-radius:8px;background:{{ colour }};color:#ffffff;font-size:16px;font-weight:600;text-decoration:none">Открыть {{ product }}</a></p>{% endif %}{% if instructions %}<div style="margin:16px 0;font-size:15px;line-height:1.55">
<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155"><b>Как активировать.</b></p>
<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">{{ instructions|linebreaksbr }}</p></div>{% endif %}
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="margin:4px 0 16px">
{% if tariff %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Тариф</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ tariff }}</td></tr>{% endif %}
{% if period_end %}<tr><td class="soft line" style="padding:9px 12px 9px 0;border-bottom:1px solid #e2e8f0;font-size:14px;color:#64748b">Действует до</td><td class="line" align="right" style="padding:9px 0;border-bottom:1px solid #e2e8f0;font-size:15px;font-weight:600;color:#0f172a">{{ period_end }}</td></tr>{% endif %}
</table>
<p class="soft" style="margin:16px 0 0;font-size:14px;line-height:1.55;color:#64748b">Ключ всегда можно найти в личном кабинете.</p>
{% endblock %}
