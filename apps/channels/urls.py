"""Feeds, under /feeds/ of the partner's host."""

from django.urls import path

from apps.channels import feeds

app_name = "channels"
urlpatterns = [path("<slug:code>.yml", feeds.yml, name="feed")]
