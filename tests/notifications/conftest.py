"""A partner with mail and SMS."""

import pytest

from apps.connectors.models import Connection
from apps.partners.models import Partner
from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from tests.notifications.connections import connect_mail, connect_sms


@pytest.fixture
def email_connection(partner: Partner, mailbox: Control, mailbox_process: Simulator) -> Connection:
    return connect_mail(partner, mailbox_process)


@pytest.fixture
def sms_connection(partner: Partner, smsaero: Control, smsaero_process: Simulator) -> Connection:
    return connect_sms(partner, smsaero_process)
