"""The consoles: first pages, sidebar by role, work queue, search, new partners, roles."""

import pytest
from django.contrib.auth.models import User
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from apps.accounts import customers
from apps.callcenters import requests
from apps.core import work
from apps.core.ids import uuid7
from apps.core.models import WorkItem
from apps.core.tenancy import in_public
from apps.journal.models import Entry
from apps.partners.models import ContractTerms, Partner, StaffRole
from tests.conftest import make_partner
from tests.staff import PASSWORD


def page(client, path, **query):
    with in_public():
        return client.get(path, query)


def test_first_pages_and_sidebar_go_by_console_and_role(partner, staff):
    admin = page(staff(None), "/admin/").content.decode()
    assert "Сводка" in admin
    assert "Миграции" in admin
    assert f"/p/{partner.slug}/admin/" in admin
    support = page(staff(None, "support"), "/admin/").content.decode()
    assert "Миграции" not in support
    assert "Поступило сегодня" not in support
    own = page(staff(partner, "manager"), "/admin/").content.decode()
    assert "Сегодня" in own
    assert "Открытые обращения" in own
    assert "/p/" not in own
    switched = page(staff(None), f"/p/{partner.slug}/admin/").content.decode()
    assert "К консоли платформы" in switched
    assert f"/p/{partner.slug}/admin/accounts/customer/" in switched


def test_every_page_of_the_sidebar_opens(partner, staff):
    from apps.core import console

    for start, site, client in (
        ("", console.operator_site, staff(None)),
        (f"/p/{partner.slug}", console.partner_site, staff(None)),
        ("", console.partner_site, staff(partner)),
    ):
        for model in site._registry:
            path = f"{start}/admin/{model._meta.app_label}/{model._meta.model_name}/"
            assert page(client, path).status_code == 200, path


def test_queue_is_one_over_all_partners_and_a_partner_sees_its_own(partner, staff):
    with in_public():
        WorkItem.objects.all().delete()  # what other tests left would fill the first page
    customer = customers.register(phone="+79161230011")
    mine = requests.open_request(customer=customer, subject="Мой вопрос", text="…")
    other = make_partner()
    work.open_for(other.pk, "core.due", uuid7(), "чужая беда")
    lena = staff(None, "support")
    listed = page(lena, "/admin/core/workitem/").content.decode()
    assert f"/p/{partner.slug}/admin/callcenters/customerrequest/{mine.pk}/change/" in listed
    assert "чужая беда" in listed
    assert "чужая беда" not in page(lena, "/admin/core/workitem/", partner=partner.pk).content.decode()
    own = page(staff(partner, "support"), "/admin/core/workitem/").content.decode()
    assert f'"/admin/callcenters/customerrequest/{mine.pk}/change/"' in own
    assert "чужая беда" not in own
    item = WorkItem.objects.get(object_id=mine.pk)
    assert page(lena, f"/admin/core/workitem/{item.pk}/take/").status_code == 302
    page(staff(None, "support"), f"/admin/core/workitem/{item.pk}/take/")
    item.refresh_from_db()
    assert item.owner == lena.user
    theirs = WorkItem.objects.get(partner_id=other.pk)
    page(staff(partner, "support"), f"/admin/core/workitem/{theirs.pk}/take/")
    theirs.refresh_from_db()
    assert theirs.owner is None


def test_one_box_finds_a_customer_in_any_partner(partner, staff):
    customer = customers.register(phone="+79161230022", name="Галина")
    client = staff(None, "support")
    card = f"/p/{partner.slug}/admin/accounts/customer/{customer.pk}/change/"
    found = page(client, "/admin/reports/search/", q="8 916 123 00 22").content.decode()
    assert card in found
    assert "Галина" in found
    opened = page(client, "/admin/reports/search/", q="+79161230022", open="1")
    assert opened["Location"] == card
    assert page(client, card).status_code == 200
    assert "Ни у одного" in page(client, "/admin/reports/search/", q="+79160000000").content.decode()
    assert page(staff(partner), "/admin/reports/search/").status_code == 404


def test_new_partner_is_live_at_once(operator, staff, client_for):
    client = staff(None, "manager")
    given = {
        "name": "Рассвет",
        "slug": "rassvet",
        "time_zone": "Europe/Moscow",
        "colour": "#0f766e",
        "tagline": "Утро",
    }
    with in_public():
        answer = client.post("/admin/partners/partner/add/", given, follow=True).content.decode()
        made = Partner.objects.get(slug="rassvet")
        assert made.url("/") in answer
        assert f"/p/{made.slug}/admin/" in answer
        assert client_for(made).get("/").status_code == 200
        again = client.post("/admin/partners/partner/add/", given)
        assert again.status_code == 200
        assert Partner.objects.filter(slug="rassvet").count() == 1
        change = f"/admin/partners/partner/{made.pk}/change/"
        lines = {"domains-TOTAL_FORMS": 0, "domains-INITIAL_FORMS": 0}
        new = {"name": "Заря", "status": "live", "legal_entity": operator.pk, "time_zone": "Asia/Omsk"}
        client.post(change, {**new, **lines})
        made.refresh_from_db()
        assert (made.name, made.time_zone, made.slug) == ("Заря", "Asia/Omsk", "rassvet")
        assert page(staff(None), "/admin/partners/partner/migrations/").status_code == 200
        assert page(client, "/admin/partners/partner/migrations/").status_code == 403


@pytest.fixture
def colleague():
    with in_public():
        return User.objects.create(username="elsewhere", is_staff=True)


def test_only_administrators_give_roles_and_a_partners_only_its_own(partner, staff, colleague):
    new = {"username": "petr", "password": PASSWORD, "role": "finance"}
    add = "/admin/partners/staffrole/add/"
    with in_public():
        assert staff(partner, "manager").post(add, new).status_code == 403
        assert staff(None, "manager").post(add, new).status_code == 403
        admin = staff(partner)
        assert admin.post(add, {**new, "partner": ""}).status_code == 302
        role = StaffRole.objects.get(user__username="petr")
        assert (role.partner, role.role) == (partner, "finance")
        taken = admin.post(add, {**new, "username": "elsewhere"})
        assert "Этот логин занят" in taken.content.decode()
        assert not StaffRole.objects.filter(user=colleague).exists()
        foreign = staff(make_partner())
        gone = f"/admin/partners/staffrole/{role.pk}/delete/"
        assert foreign.post(gone, {"post": "yes"}).status_code in {302, 403, 404}
        assert StaffRole.objects.filter(pk=role.pk).exists()
        assert admin.post(gone, {"post": "yes"}).status_code == 302
        assert not StaffRole.objects.filter(pk=role.pk).exists()
        boss = staff(None)
        assert boss.post(add, {"user": colleague.pk, "role": "support"}).status_code == 302
    assert Entry.objects.filter(action__startswith="role.").count() == 2


def test_contract_in_force_is_not_changed(partner, staff):
    with in_public():
        terms = ContractTerms.objects.create(
            partner=partner, number="1", valid_from="2020-01-01", share_percent=10
        )
        client = staff(None, "finance")
        change = f"/admin/partners/contractterms/{terms.pk}/change/"
        assert client.post(change, {"number": "2", "share_percent": 90}).status_code == 403
        terms.refresh_from_db()
    assert terms.number == "1"


def test_the_consoles_own_words_are_russian(partner, staff):
    boss = staff(None)
    with in_public():
        task, _is_new = PeriodicTask.objects.get_or_create(
            name="health",
            defaults={
                "task": "core.tick",
                "interval": IntervalSchedule.objects.create(every=5, period="seconds"),
            },
        )
    listed = page(boss, "/admin/django_celery_beat/periodictask/").content.decode()
    domains = page(boss, f"/admin/partners/partner/{partner.pk}/change/").content.decode()
    queue = page(boss, "/admin/core/workitem/").content.decode()
    for shown in (listed, domains, queue):
        for word in ("Task Name", "Scheduler", "Is primary", ">Domain<", "Select value", "No results found"):
            assert word not in shown, word
        for word in ("Reset filters", ">Light<", ">Dark<", ">System<"):
            assert word not in shown, word
    assert "каждые 5 с" in listed
    one = page(boss, f"/admin/django_celery_beat/periodictask/{task.pk}/change/")
    assert "каждые 5 с" in one.content.decode()
    assert partner.host in domains
    # A number before a plural would be wrong for most numbers.
    assert "моя работа\n" not in queue
    assert "Всего: " in queue
