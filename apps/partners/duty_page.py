"""Console: «Кто на смене»: who hears of what waits, and the button by which one comes and goes."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from apps.core import clock
from apps.partners import duty


def answer(model_admin: Any, request: Any) -> HttpResponse:
    """The page, and what is pressed on it."""
    # The platform's staff who look into a partner's console are on duty at the platform, not there.
    if not request.rights.roles:
        raise PermissionDenied
    here = {one.pk: (one, since) for one, since in duty.people(request.tenant)}
    is_chief = request.rights.may()
    if request.method == "POST":
        asked = request.POST.get("who", "")
        if not (asked.isdecimal() and int(asked) in here):
            raise PermissionDenied
        if int(asked) != request.user.pk and not is_chief:
            raise PermissionDenied
        who, actor = here[int(asked)][0], request.user.get_username()
        if request.POST.get("on"):
            duty.begin(who, request.tenant, actor=actor)
            messages.success(request, _("На смене: %s") % _name(who))
        else:
            duty.end(who, request.tenant, actor=actor)
            messages.success(request, _("Не на смене: %s") % _name(who))
        return redirect("admin:partners_staffrole_duty")
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Кто на смене"),
        "opts": model_admin.opts,
        "people": [
            {
                "pk": one.pk,
                "name": _name(one),
                "email": one.email,
                "since": since and clock.local(since),
                "is_me": one.pk == request.user.pk,
                "may": one.pk == request.user.pk or is_chief,
            }
            for one, since in here.values()
        ],
        "is_anybody": any(since for _one, since in here.values()),
        "hours": settings.SHIFT_HOURS,
    }
    return TemplateResponse(request, "partners/duty.html", context)


def _name(one: Any) -> str:
    return str(one.get_full_name() or one.get_username())
