{% extends "layout.ru.html" %}
{% block preview %}Ответьте, и заказ пойдёт дальше{% endblock %}
{% block title %}Нужен ваш ответ{% endblock %}
{% block body %}
<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">{{ product }}: поставщик услуги спрашивает, чтобы продолжить.</p>
<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155"><b>{{ question|linebreaksbr }}</b></p>
<p style="margin:20px 0 8px"><a href="{{ ask_url }}" style="display:inline-block;padding:13px 26px;border-radius:8px;background:{{ colour }};color:#ffffff;font-size:16px;font-weight:600;text-decoration:none">Ответить</a></p>
<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">Ответ сразу уйдёт поставщику, больше ничего делать не нужно.</p>
{% endblock %}
