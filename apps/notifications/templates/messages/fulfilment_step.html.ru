{% extends "layout.ru.html" %}
{% block preview %}{{ text }}{% endblock %}
{% block title %}{{ product }}{% endblock %}
{% block body %}
<p style="margin:0 0 16px;font-size:16px;line-height:1.55;color:#334155">{{ text|linebreaksbr }}</p>
{% endblock %}
