"""A provider's small console on the public host: its requests, its keys, its usage, and nothing of anybody else's."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth import login, logout
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from apps import journal
from apps.core.console import CappedPaginator
from apps.core.errors import Refused
from apps.providers import keys
from apps.providers.models import ActivationKey, KeyPool
from apps.providers.portal import listing, requests, usage
from apps.providers.portal.forms import ApproveForm, KeysForm, ListForm, ReasonForm, SignInForm, UsageForm
from apps.providers.portal.models import ProviderRequest, ProviderUser, RequestState, ServiceList, UsageFile

View = Callable[..., HttpResponse]
PER_PAGE = 30


def of_provider(view: View) -> View:
    """Only for a provider's people; the view is given whose it is. Who only looks may post nothing."""

    @never_cache
    @wraps(view)
    def wrapper(request: Any, *args: Any, **options: Any) -> HttpResponse:
        user = request.user
        access = None
        if user.is_authenticated and user.is_active:
            access = ProviderUser.objects.select_related("provider").filter(user=user).first()
        if access is None or access.provider.is_archived:
            return redirect("provider:sign-in")
        if request.method == "POST" and access.role != ProviderUser.Role.WORKER:
            messages.error(request, _("Вам можно только смотреть"))
            return redirect(request.path)
        request.access = access
        return view(request, access.provider, *args, **options)

    return wrapper


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: Any) -> HttpResponse:
    form = SignInForm(request, request.POST or None)
    if request.method == "POST" and form.is_valid():
        login(request, form.get_user())
        request.session["host"] = request.get_host()
        return redirect("provider:requests")
    return render(request, "providers/portal/sign_in.html", {"form": form, "title": _("Вход для поставщика")})


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("provider:sign-in")


@of_provider
def request_list(request: Any, provider: Any) -> HttpResponse:
    """Its requests by state; what waits for it first."""
    mine = ProviderRequest.objects.filter(provider=provider)
    state = request.GET.get("state", RequestState.PENDING)
    chosen = mine.filter(state=state) if state in RequestState.values else mine
    if (text := request.GET.get("q", "").strip()) and len(text) <= 60:
        chosen = chosen.filter(_search(text))
    # How many wait is few; of the settled ones there may be a million, and nobody counts them.
    open_counts = dict(
        mine.filter(state__in=(RequestState.PENDING, RequestState.INQUIRING))
        .order_by()
        .values_list("state")
        .annotate(count=Count("pk"))
    )
    page = CappedPaginator(chosen, PER_PAGE).get_page(request.GET.get("page"))
    tabs = [(one.value, one.label, open_counts.get(one.value)) for one in RequestState]
    told = {"page": page, "tabs": [*tabs, ("all", _("Все"), None)], "state": state, "q": text}
    return render(request, "providers/portal/requests.html", {**told, "title": _("Запросы")})


def _search(text: str) -> Q:
    try:
        key = UUID(text)
    except ValueError:
        return Q(sku__icontains=text) | Q(customer_ref=text)
    return Q(pk=key) | Q(request_id=key) | Q(customer_ref=str(key))


@of_provider
def request_page(request: Any, provider: Any, request_id: UUID) -> HttpResponse:
    """One request, and what may be done with it."""
    try:
        row = requests.of(provider, request_id)
    except Refused as refused:
        raise Http404 from refused
    may_decide = row.is_open and request.access.role == ProviderUser.Role.WORKER
    told = shown(row) | {"may_decide": may_decide}
    if request.method == "POST":
        done = decide(request, row, actor=request.user.get_username())
        if done is None:
            return redirect("provider:request", row.pk)
        told |= done
    return render(request, "providers/portal/request.html", told)


def shown(row: ProviderRequest) -> dict[str, Any]:
    """What a page of one request shows."""
    forms_ = {"approve": ApproveForm(), "fail": ReasonForm(prefix="fail"), "ask": ReasonForm(prefix="ask")}
    return {"row": row, "title": str(row), **forms_}


def decide(request: Any, row: ProviderRequest, *, actor: str) -> dict[str, Any] | None:
    """Does what was pressed; what to show again where it cannot be done."""
    what = request.POST.get("do", "")
    form: forms.Form = (
        ApproveForm(request.POST) if what == "approve" else ReasonForm(request.POST, prefix=what)
    )
    if not form.is_valid():
        return {what: form}
    given = form.cleaned_data
    try:
        if what == "approve":
            requests.approve(row, **given, actor=actor)
        elif what == "fail":
            requests.fail(row, given["text"], actor=actor)
        else:
            requests.inquire(row, given["text"], actor=actor)
    except Refused as refused:
        messages.error(request, str(refused.message))
    else:
        messages.success(request, _("Готово"))
    return None


@of_provider
def key_page(request: Any, provider: Any) -> HttpResponse:
    """Its pools and what is left in them; keys are added, and never shown."""
    sent = (request.POST, request.FILES) if request.method == "POST" else ()
    form = KeysForm(provider, *sent)
    if request.method == "POST" and form.is_valid():
        loaded = keys.load(pool=form.cleaned_data["pool"], content=form.content())
        counts = {"added": loaded.added, "rejected": len(loaded.rejected)}
        pool, actor = form.cleaned_data["pool"], request.user.get_username()
        journal.record("keys.loaded", "providers.KeyPool", pool.pk, actor=actor, data=counts)
        messages.success(request, _("Добавлено ключей: %d") % loaded.added)
        for rejected in loaded.rejected[:20]:
            messages.warning(request, str(rejected))
        return redirect("provider:keys")
    is_free = Q(keys__state=ActivationKey.State.FREE)
    pools = KeyPool.objects.filter(provider=provider).annotate(free=Count("keys", filter=is_free))
    return render(request, "providers/portal/keys.html", {"form": form, "pools": pools, "title": _("Ключи")})


@of_provider
def usage_page(request: Any, provider: Any) -> HttpResponse:
    """Files of usage, with the rows that were refused."""
    sent = (request.POST, request.FILES) if request.method == "POST" else ()
    form = UsageForm(*sent)
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            made = usage.load(
                provider=provider, name=file.name, content=file.read(), actor=request.user.get_username()
            )
        except Refused as refused:
            form.add_error("file", str(refused.message))
        else:
            messages.success(request, _("Принято строк: %d") % made.rows)
            return redirect("provider:usage")
    files = UsageFile.objects.filter(provider=provider)[:20]
    return render(
        request, "providers/portal/usage.html", {"form": form, "files": files, "title": _("Потребление")}
    )


@of_provider
def list_page(request: Any, provider: Any) -> HttpResponse:
    """Which of its services were live on a day: held against what customers have paid for."""
    sent = (request.POST, request.FILES) if request.method == "POST" else ()
    form = ListForm(*sent)
    if request.method == "POST" and form.is_valid():
        file, actor = form.cleaned_data["file"], request.user.get_username()
        day = form.cleaned_data["day"]
        try:
            made = listing.load(provider=provider, day=day, name=file.name, content=file.read(), actor=actor)
        except Refused as refused:
            form.add_error("file", str(refused.message))
        else:
            messages.success(request, _("Принято строк: %d") % made.rows)
            return redirect("provider:services")
    lists = ServiceList.objects.filter(provider=provider, is_test=False)[:20]
    told = {"form": form, "lists": lists, "title": _("Услуги за день")}
    return render(request, "providers/portal/services.html", told)
