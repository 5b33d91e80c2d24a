"""What must hold of what staff set."""

from collections.abc import Iterator

from apps.core import audit, clock
from apps.policies import messages, vat
from apps.policies.models import MessageTemplate


@audit.rule("policies.vat-rate-today", scope="public")
def vat_rate_today() -> Iterator[str]:
    """There is a rate for each code of today, or documents cannot be issued."""
    for code in (vat.STANDARD, vat.REDUCED, vat.NONE):
        try:
            vat.percent(code, clock.today())
        except LookupError as error:
            yield str(error)


@audit.rule("policies.template-renders", scope="public")
def template_renders() -> Iterator[str]:
    """Every text in use asks only for what its message has."""
    for template in MessageTemplate.objects.filter(is_active=True):
        for name in ("subject", "body_text", "body_html"):
            if problem := messages.problem(template.type, getattr(template, name)):
                yield f"Template {template.pk}, {name}: {problem}"
