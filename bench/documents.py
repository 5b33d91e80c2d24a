"""The bench of an invoice's PDF: read from the database and set, beside typst alone with the same words.

The aim is 200 ms for 95 of a hundred, and 20 a second in a batch on two cores: by two threads, as typst lets go of
Python while it sets a page. The floor is one thread.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal

import typst
from django.db import transaction

from apps.accounts import companies, customers
from apps.billing import invoices, pdf
from apps.billing.models import Collection, Invoice, InvoiceLine, InvoicePurpose
from apps.core import clock
from apps.core.tenancy import in_partner
from bench.cases import new_partner, operator
from bench.measure import in_turn, timed

BATCH = 50


def invoice_pdf() -> dict[str, float]:
    """A company's invoice of three lines, with bank requisites and the sum in words."""
    with in_partner(new_partner()) as partner:
        keys = [_invoice(number).pk for number in range(BATCH)]
        words = [json.dumps(pdf.data_of(Invoice.objects.get(pk=key)), ensure_ascii=False) for key in keys]
        fonts, template = typst.Fonts(include_system_fonts=False), pdf.TEMPLATE.read_bytes()

        def one(key: object) -> None:
            pdf.render(Invoice.objects.get(pk=key))

        def floor() -> None:
            for text in words:
                compiler = typst.Compiler(font_paths=fonts, ignore_system_fonts=True)
                compiler.compile(input=template, format="pdf", sys_inputs={"document": text})

        def batch() -> None:
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(apart, keys))

        def apart(key: object) -> None:
            with in_partner(partner):
                one(key)

        found = in_turn(batch, floor, rounds=3, each=BATCH)
        each = sorted(timed(lambda key=key: one(key)) for key in keys * 4)
        return {**found, "p95_seconds": each[int(len(each) * 0.95)], "slowest_seconds": each[-1]}


def _invoice(number: int) -> Invoice:
    customer = customers.register(external_id=f"company-{number}", verified=True)
    companies.set_company(
        customer,
        actor="bench",
        name=f"ООО «Ромашка {number}»",
        inn="7707083893",
        kpp="770701001",
        address="117312, Москва, ул. Вавилова, 19",
        documents_email="buh@romashka.example",
    )
    today = clock.today()
    made = Invoice.objects.create(
        customer=customer,
        legal_entity=operator(),
        purpose=InvoicePurpose.RENEWAL,
        total=Decimal("3660.00"),
        vat=Decimal("660.00"),
        collection=Collection.INVOICE,
        business_date=today,
        due_date=today,
    )
    for position in range(1, 4):
        InvoiceLine.objects.create(
            invoice=made,
            product_id=1,
            tariff_version_id=1,
            position=position,
            description=f"Облачное хранилище, тариф «Бизнес», рабочее место {position}",
            period_start=date(2026, 12, 1),
            period_end=date(2027, 1, 1),
            amount=Decimal("1220.00"),
            vat_rate=Decimal(22),
            vat=Decimal("220.00"),
            terms={"owner": "operator", "provider_id": None},
        )
    with transaction.atomic():
        return invoices.issue(made)
