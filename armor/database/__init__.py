"""Django's database backend with schemas (`django-tenants`), and what happens to a connection that is given back."""
