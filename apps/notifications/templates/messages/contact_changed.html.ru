{% extends "layout.ru.html" %}
{% block preview %}Если это не вы, напишите нам{% endblock %}
{% block title %}Контакт для входа изменён{% endblock %}
{% block body %}
<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">{% if contact %}Теперь в ваш кабинет входят по контакту {{ contact }}.{% else %}Этот контакт больше не открывает ваш кабинет.{% endif %} Изменил: {{ who }}.</p>
<p class="soft" style="margin:16px 0 0;font-size:14px;line-height:1.55;color:#64748b">Если вы об этом не просили, сразу напишите нам: мы вернём всё как было.</p>
{% endblock %}
