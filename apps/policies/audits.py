"""What must hold of what staff set."""

import json
from collections.abc import Iterator

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import connection

from apps.core import audit, clock
from apps.core.tenancy import current_partner
from apps.policies import dunning, messages, numbering, vat
from apps.policies.dunning_models import DunningPolicy
from apps.policies.models import MessageTemplate
from apps.policies.routes import PaymentRoute, check_shares

audit.guarded("policies_vatrate", "policies_rate_begun", "policies_rate_kept")
audit.guarded("policies_dunningversion", "policies_dunning_kept")


@audit.rule("policies.vat-rate-today", scope="public")
def vat_rate_today() -> Iterator[str]:
    """There is a rate for each code of today, or documents cannot be issued."""
    for code in (vat.STANDARD, vat.REDUCED, vat.NONE):
        try:
            vat.percent(code, clock.today())
        except LookupError as error:
            yield str(error)


@audit.rule("policies.dunning-is-allowed", scope="public")
def dunning_is_allowed() -> Iterator[str]:
    """There is a default policy of dunning, and none that is in use does what a gateway's rules forbid."""
    policies = list(DunningPolicy.objects.select_related("current"))
    if not any(one.is_default and one.current for one in policies):
        yield "No policy of dunning is the default one"
    for one in policies:
        if one.current is not None:
            for name, text in dunning.problems(dunning.loaded(one.current.timelines)):
                yield f"Policy {one.name}, {name}: {text}"


@audit.rule("policies.route-can-decide", scope="public", of=(audit.some(PaymentRoute, is_active=True),))
def route_can_decide() -> Iterator[str]:
    """Rules of payments in force share out the whole among gateways of one owner, who may be used by its partner."""
    for route in PaymentRoute.objects.filter(is_active=True).prefetch_related("shares__connection"):
        shares = [(one.connection, one.percent) for one in route.shares.all()]
        try:
            check_shares(shares)
        except ValidationError as error:
            yield f"Route {route.pk}: {error.messages[0]}"
        for to, _percent in shares:
            if to.kind != "payment" or to.partner_id not in {None, route.partner_id}:
                yield f"Route {route.pk} leads to connection {to.pk}, which is not for its payments"


@audit.rule("policies.template-renders", scope="public", of=(audit.some(MessageTemplate, is_active=True),))
def template_renders() -> Iterator[str]:
    """Every text in use asks only for what its message has."""
    for template in MessageTemplate.objects.filter(is_active=True):
        for name in ("subject", "body_text", "body_html"):
            if problem := messages.problem(template.type, getattr(template, name)):
                yield f"Template {template.pk}, {name}: {problem}"


# All but the last part of a number is that of its sequence.
_NUMBERS = """
WITH document AS ({documents}), made AS (
    SELECT regexp_replace(number, '-[0-9]+$', '') AS prefix, count(DISTINCT number) AS count,
        max(substring(number FROM '[0-9]+$')::bigint) AS last
    FROM document WHERE number <> '' GROUP BY prefix
), allotted AS (
    SELECT last, concat(
        COALESCE(%(letters)s::jsonb ->> kind, upper(left(kind, 1))), lpad((year %% 100)::text, 2, '0'),
        '-', COALESCE(legal_entity_id, 0), '-', partner_id
    ) AS prefix
    FROM policies_numbersequence WHERE partner_id = %(partner)s
)
SELECT COALESCE(prefix, '?'), COALESCE(allotted.last, 0), COALESCE(made.count, 0), COALESCE(made.last, 0)
FROM made FULL JOIN allotted USING (prefix)
WHERE (made.count, made.last) IS DISTINCT FROM (allotted.last::bigint, allotted.last::bigint)
"""


@audit.rule("policies.numbers-without-gap")
def numbers_without_gap() -> Iterator[str]:
    """Of each sequence, every number up to the last stands on a document, and none above."""
    tables = [apps.get_model(label)._meta.db_table for label in dict.fromkeys(numbering.DOCUMENTS.values())]
    documents = " UNION ALL ".join(f"SELECT number FROM {table}" for table in tables)  # noqa: S608 (names of models)
    values = {"letters": json.dumps(numbering.LETTERS), "partner": current_partner().pk}
    with connection.cursor() as cursor:
        cursor.execute(_NUMBERS.format(documents=documents), values)
        for prefix, last, count, highest in cursor.fetchall():
            yield f"Of {last} numbers {prefix}, {count} stand on documents, the highest is {highest}"
