"""The sidebar of both consoles: the sections of the wording, by role, and only what is there."""

from typing import Any

from django.apps import apps
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

from apps.core import console, links
from apps.partners.models import Partner

Item = dict[str, Any]
SWITCHER_LENGTH = 12

# (title, model or name of a page, icon). What is not registered with the console, or not for this role, is left out.
OPERATOR: list[tuple[Any, list[tuple[Any, str, str]]]] = [
    (
        _("Главная"),
        [
            (_("Сводка"), "page:index", "dashboard"),
            (_("Моя работа"), "core.WorkItem", "inbox"),
            (_("Кто на смене"), "page:partners_staffrole_duty", "support_agent"),
            (_("Поиск"), "reports.Search", "search"),
        ],
    ),
    (
        _("Каталог"),
        [
            (_("Продукты"), "catalog.Product", "inventory_2"),
            (_("Тарифы"), "catalog.Tariff", "sell"),
            (_("Категории"), "catalog.Category", "category"),
            (_("Матрица предложений"), "page:catalog_offer_matrix", "grid_on"),
            (_("Предложения партнёрам"), "catalog.Offer", "storefront"),
            (_("Изменение цен"), "catalog.PriceChange", "trending_up"),
            (_("Возможности"), "catalog.Feature", "extension"),
            (_("Остановка продаж"), "catalog.SalesStop", "remove_shopping_cart"),
            (_("Прайс-лист: загрузка"), "page:catalog_tariff_import", "upload_file"),
        ],
    ),
    (
        _("Партнёры"),
        [
            (_("Партнёры"), "partners.Partner", "handshake"),
            (_("Договоры и условия"), "partners.ContractTerms", "contract"),
            (_("Миграции"), "page:partners_partner_migrations", "database"),
        ],
    ),
    (
        _("Поставщики и исполнение"),
        [
            (_("Пульт исполнения"), "providers.OpenRequest", "monitoring"),
            (_("Действия пульта"), "providers.RequestDeed", "checklist"),
            (_("Поставщики"), "providers.Provider", "local_shipping"),
            (_("Конструктор подключений"), "providers.ConnectorDefinition", "cable"),
            (_("Условия поставщиков"), "catalog.ProviderTerms", "request_quote"),
            (_("Ключи активации"), "providers.KeyPool", "key"),
            (_("Бракованные ключи"), "providers.DefectiveKey", "report"),
            (_("Запросы поставщикам"), "providers.ProviderRequest", "assignment"),
            (_("Потребление"), "providers.UsageFile", "data_usage"),
            (_("Сверка с поставщиками"), "settlements.ProviderDay", "rule"),
            (_("Списки услуг"), "providers.ServiceList", "list_alt"),
            (_("Люди поставщиков"), "providers.ProviderUser", "badge"),
            (_("Ключи API поставщиков"), "providers.ProviderKey", "vpn_key"),
        ],
    ),
    (
        _("Деньги"),
        [
            (_("Выписки банка"), "settlements.BankStatement", "account_balance_wallet"),
            (_("Строки выписок"), "settlements.BankLine", "list_alt"),
            (_("Сверка со шлюзами"), "settlements.GatewayDay", "compare_arrows"),
            (_("Выплаты шлюзов"), "settlements.GatewayPayout", "move_to_inbox"),
            (_("Условия расчётов со шлюзами"), "settlements.GatewayTerms", "handshake"),
            (_("Оборотно-сальдовая ведомость"), "reports.TrialBalance", "balance"),
            (_("Взаиморасчёты с партнёрами"), "reports.PartnerStatement", "handshake"),
            (_("Проводки"), "ledger.Transfer", "account_balance"),
        ],
    ),
    (_("Обращения и звонки"), [(_("Звонки"), "page:reports_search_calls", "call")]),
    (
        _("Уведомления"),
        [
            (_("Шаблоны"), "policies.MessageTemplate", "draft"),
            (_("Правила отправки"), "policies.SendingRule", "rule"),
        ],
    ),
    (
        _("Отчёты"),
        [
            (_("Продажи"), "reports.Sales", "bar_chart"),
            (_("Неоплаты: сколько вернули"), "reports.Recovery", "savings"),
        ],
    ),
    (
        _("Интеграции"),
        [
            (_("Подключения"), "connectors.Connection", "cable"),
            (_("Маршруты платежей"), "policies.PaymentRoute", "alt_route"),
            (_("Входящие сообщения"), "connectors.InboundMessage", "move_to_inbox"),
            (_("Журнал обмена"), "journal.Exchange", "swap_horiz"),
            (_("Пульт демонстрации"), "demo.SandboxPartner", "tune"),
        ],
    ),
    (
        _("Настройки"),
        [
            (_("Сотрудники"), "auth.User", "badge"),
            (_("Роли сотрудников"), "partners.StaffRole", "shield_person"),
            (_("Юридические лица"), "partners.LegalEntity", "domain"),
            (_("Правила повторных списаний"), "policies.DunningPolicy", "event_repeat"),
            (_("Кто по какой политике"), "policies.DunningChoice", "rule_settings"),
            (_("Правила списаний"), "policies.ChargeRules", "shield"),
            (_("Нумерация"), "policies.NumberSequence", "pin"),
            (_("Ставки НДС"), "policies.VatRate", "percent"),
            (_("Чеки: кто и как делает"), "policies.FiscalRule", "receipt"),
            (_("Причины возвратов"), "policies.RefundReason", "help_center"),
            (_("Лимиты возвратов"), "policies.RefundLimit", "verified_user"),
            (_("Журнал действий"), "journal.Entry", "history"),
            (_("Состояние системы"), "django_celery_beat.PeriodicTask", "monitor_heart"),
        ],
    ),
]
PARTNER: list[tuple[Any, list[tuple[Any, str, str]]]] = [
    (
        _("Главная"),
        [
            (_("Сегодня"), "page:index", "today"),
            (_("Моя работа"), "core.WorkItem", "inbox"),
            (_("Кто на смене"), "page:partners_staffrole_duty", "support_agent"),
        ],
    ),
    (
        _("Продажи"),
        [
            (_("Заказы"), "orders.Order", "shopping_cart"),
            (_("Массовые заказы"), "orders.BulkOrder", "playlist_add"),
            (_("Подписки"), "billing.Subscription", "autorenew"),
            (_("Промокоды"), "billing.Promotion", "local_offer"),
            (_("Удержание"), "billing.RetentionOffer", "volunteer_activism"),
            (_("Клиенты"), "accounts.Customer", "group"),
            (_("Массовые действия"), "billing.MassAction", "checklist"),
            (_("Перенос базы"), "billing.BaseImport", "move_up"),
            (_("Услуги клиентов"), "orders.Service", "package_2"),
            (_("Пульт исполнения"), "providers.OpenRequest", "monitoring"),
            (_("Исполнение"), "orders.Fulfilment", "conveyor_belt"),
            (_("Ручные задачи"), "orders.Task", "task_alt"),
            (_("Действия пульта"), "providers.RequestDeed", "checklist"),
        ],
    ),
    (
        _("Деньги"),
        [
            (_("Счета"), "billing.Invoice", "receipt_long"),
            (_("Счета на проверке"), "billing.ParkedBill", "fact_check"),
            (_("Неоплаты"), "billing.Dunning", "money_off"),
            (_("Платежи"), "payments.Payment", "payments"),
            (_("Возвраты"), "payments.Refund", "undo"),
            (_("Выплаты по реквизитам"), "payments.BankPayout", "outbox"),
            (_("Споры и претензии"), "payments.Dispute", "gavel"),
            (_("Чеки"), "payments.Receipt", "receipt"),
            (_("Корректировки счетов"), "billing.CreditNote", "edit_document"),
            (_("Акты и квитанции"), "billing.Document", "description"),
            (_("Поступления"), "billing.OutsidePayment", "account_balance"),
            (_("Возвраты поступлений"), "billing.OutsideRefund", "assignment_return"),
            (_("Запросы на списание"), "billing.ChargeRequest", "phone_forwarded"),
            (_("Отчёты партнёра о сборах"), "billing.CollectionReport", "upload_file"),
            (_("Взаиморасчёты с клиентами"), "billing.CustomerAccount", "balance"),
            (_("Взаиморасчёты с платформой"), "reports.PartnerStatement", "handshake"),
            (_("Сохранённые способы"), "payments.PaymentMethod", "credit_card"),
        ],
    ),
    (
        _("Обращения и звонки"),
        [
            (_("Обращения"), "callcenters.CustomerRequest", "support_agent"),
            (_("Звонки"), "callcenters.IncomingCall", "call"),
            (_("Обзвоны"), "callcenters.CallList", "perm_phone_msg"),
        ],
    ),
    (
        _("Витрины и каналы"),
        [
            (_("Витрина"), "storefronts.Storefront", "storefront"),
            (_("Каналы продаж"), "channels.Channel", "hub"),
        ],
    ),
    (
        _("Отчёты"),
        [
            (_("Продажи"), "reports.Sales", "bar_chart"),
            (_("Неоплаты: сколько вернули"), "reports.Recovery", "savings"),
        ],
    ),
    (_("Уведомления"), [(_("Журнал сообщений"), "notifications.Message", "mail")]),
    (
        _("Интеграция"),
        [
            (_("Ключи API"), "channels.ApiKey", "vpn_key"),
            (_("Журнал обмена"), "journal.Exchange", "swap_horiz"),
        ],
    ),
    (
        _("Сотрудники"),
        [
            (_("Сотрудники и роли"), "partners.StaffRole", "badge"),
            (_("Журнал действий"), "journal.Entry", "history"),
        ],
    ),
]


def navigation(request: Any) -> list[Item]:
    """Sections for django-unfold's sidebar."""
    site = console.operator_site if request.tenant is None else console.partner_site
    sections = OPERATOR if request.tenant is None else PARTNER
    found: list[Item] = [{"title": "", "items": [_back(request.tenant)]}] if request.switched else []
    for title, entries in sections:
        items = [_item(request, site, *entry) for entry in entries]
        if there := [item for item in items if item]:
            found.append({"title": title, "separator": bool(found), "items": there})
    _mark(found, request.path)
    return found


def _mark(sections: list[Item], path: str) -> None:
    """One line is lit: of two pages under one address, such as a list and its matrix, the nearer one."""
    items = [item for section in sections for item in section["items"] if item["link"]]
    home = min((str(item["link"]) for item in items), key=len, default="")
    near = [
        link
        for item in items
        if (link := str(item["link"])) == path or (link != home and path.startswith(link))
    ]
    best = max(near, key=len, default="")
    for item in items:
        item["active"] = str(item["link"]) == best


def switcher(request: Any) -> list[Item]:
    """The dropdown over the sidebar: which console this is, and the way to the others."""
    if not request.rights.is_operator or (request.tenant is not None and not request.switched):
        return []
    platform = [{"title": _("Платформа"), "link": "/admin/", "icon": "shield"}]
    newest = Partner.objects.exclude(status=Partner.Status.CLOSED).order_by("-pk")[:SWITCHER_LENGTH]
    partners = [
        {"title": partner.name, "link": links.console(partner.slug), "icon": "storefront"}
        for partner in sorted(newest, key=lambda partner: partner.name)
    ]
    everything = {"title": _("Все партнёры"), "link": "/admin/partners/partner/", "icon": "list"}
    return [*platform, *partners, everything]


def styles(request: Any) -> str:
    """The consoles' own style sheet."""
    return static("reports/console.css")


def scripts(request: Any) -> str:
    """The consoles' own script."""
    return static("reports/console.js")


def whose(request: Any) -> str:
    """The line under the console's name."""
    if request.tenant is None:
        return str(_("Платформа"))
    return f"{request.tenant.name}{' · ' + str(_('песочница')) if request.tenant.is_sandbox else ''}"


def _back(partner: Partner) -> Item:
    return {"title": _("К консоли платформы"), "link": "/admin/", "icon": "arrow_back", "active": False}


def _item(request: Any, site: Any, title: Any, target: str, icon: str) -> Item | None:
    page = target.removeprefix("page:")
    if page == target:
        link = _list(request, site, target)
    else:
        link = _page(request, page)
    return {"title": title, "icon": icon, "link": link} if link else None


def _list(request: Any, site: Any, label: str) -> str:
    try:
        model = apps.get_model(label)
    except LookupError:
        return ""
    model_admin = site._registry.get(model)
    if model_admin is None or not model_admin.has_view_permission(request):
        return ""
    return links.list_of(model)


# Pages that are not for everybody here; the pages themselves check too.
_ROLES = {
    "catalog_tariff_import": ("manager",),
    "partners_partner_migrations": (),
}


def _page(request: Any, name: str) -> str:
    if name in _ROLES and not request.rights.may(*_ROLES[name]):
        return ""
    try:
        return reverse(f"admin:{name}")
    except NoReverseMatch:
        return ""
