{% extends "layout.ru.html" %}
{% block preview %}Никому его не сообщайте{% endblock %}
{% block title %}Код подтверждения{% endblock %}
{% block body %}
<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">Введите этот код, чтобы подтвердить смену контакта на {{ contact }}:</p>
<p class="box" style="margin:8px 0 20px;padding:16px 12px;border:1px dashed #94a3b8;border-radius:8px;background:#f8fafc;font:700 22px/1.35 Consolas,Menlo,monospace;letter-spacing:1px;text-align:center;word-break:break-all;color:#0f172a">{{ code }}</p>
<p class="soft" style="margin:16px 0 0;font-size:14px;line-height:1.55;color:#64748b">{% if minutes %}Код действует {{ minutes }} минут. {% endif %}Никому его не сообщайте. Если вы не меняли телефон или почту, никому не называйте код и напишите нам.</p>
{% endblock %}
