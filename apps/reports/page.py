"""A page of the console in place of a list of rows."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from apps.core import console


class Page(console.ReadOnlyAdmin):
    """A page of its own in place of a list of rows: there are no rows to look at one by one."""

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_changelist"
        return [path("", self.admin_site.admin_view(self.page), name=name)]

    def page(self, request: HttpRequest) -> HttpResponse:
        """The page."""
        raise NotImplementedError

    def show(self, request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
        """The page in its frame."""
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, template, {**frame, **context})
