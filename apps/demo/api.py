"""API: a sandbox partner's clock, moved to a date with everything done that is due on the way."""

from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps import journal
from apps.core import due
from apps.core.errors import Refused
from apps.core.tenancy import current_partner, in_public
from apps.demo import clockwork
from apps.partners.models import Partner

SECONDS = 60.0
"""Longer than most answers take, shorter than what stands between the caller and us may wait."""
CLOCK = {"now": "2027-11-27T09:15:00Z", "next_at": "2027-12-01T05:40:12Z", "is_idle": True}


class ClockSerializer(serializers.Serializer[Any]):
    """Where the clock stands, and what comes next."""

    now = serializers.DateTimeField(help_text=_("Часы песочницы, UTC"))
    next_at = serializers.DateTimeField(
        allow_null=True, help_text=_("Когда ближайшее запланированное дело; null: ничего не запланировано")
    )
    is_idle = serializers.BooleanField(
        help_text=_("false: не всё успело свершиться, повторите тот же запрос, он продолжит")
    )


class MoveSerializer(serializers.Serializer[Any]):
    """How far the clock goes."""

    to = serializers.DateTimeField(
        help_text=_("До какого момента, с часовым поясом; часы идут только вперёд")
    )


class ClockView(APIView):
    """The clock of a sandbox: a year of a tariff can be watched in a minute."""

    required_scopes = {"GET": "clock:move", "POST": "clock:move"}

    @extend_schema(
        tags=["clock"],
        summary=_("Часы песочницы"),
        description=_("Есть только у партнёра-песочницы; у живого ответом будет `not_sandbox`."),
        responses=ClockSerializer,
        examples=[OpenApiExample("clock", summary=_("Пример"), value=CLOCK, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        return Response(_state(_sandbox()))

    @extend_schema(
        tags=["clock"],
        summary=_("Передвинуть часы и дождаться, пока всё свершится"),
        description=_(
            "Продления, списания, письма и повторы происходят по дороге, каждое в свой момент. "
            "Ответ 202 значит, что за минуту не успели: повторите запрос с тем же `to`."
        ),
        request=MoveSerializer,
        responses={200: ClockSerializer, 202: ClockSerializer},
        examples=[
            OpenApiExample(
                "to", summary=_("Пример"), value={"to": "2027-11-27T12:15:00+03:00"}, request_only=True
            ),
            OpenApiExample("clock", summary=_("Пример"), value=CLOCK, response_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        partner = _sandbox()
        given = MoveSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        moment: datetime = given.validated_data["to"]
        key: Any = request.auth
        actor = f"api:{key.channel_code}" if key else ""
        with in_public():
            journal.record(
                "demo.clock", "partners.partner", partner.pk, actor=actor, data={"to": str(moment)}
            )
            try:
                clockwork.move(partner, moment, seconds=SECONDS)
            except clockwork.OutOfTime:
                return Response({**_state(partner), "is_idle": False}, status=202)
        return Response(_state(partner))


def _sandbox() -> Partner:
    partner = current_partner()
    if not partner.is_sandbox or partner.clock_at is None:
        raise Refused("not_sandbox", _("Часы двигаются только в песочнице"), 400)
    return partner


def _state(partner: Partner) -> dict[str, Any]:
    partner.refresh_from_db(fields=["clock_at"])
    data = {"now": partner.clock_at, "next_at": due.next_at(partner.pk), "is_idle": True}
    return dict(ClockSerializer(data).data)
