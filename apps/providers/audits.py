"""What must hold of keys."""

from collections import Counter
from collections.abc import Iterator

from django.db.models import Exists, OuterRef, Q

from apps.connectors.models import Connection
from apps.core import audit
from apps.core.models import Due, WorkItem
from apps.partners.models import Partner
from apps.providers import definitions
from apps.providers.keys import LOW_STOCK
from apps.providers.models import ActivationKey, DefinitionVersion, Provider, ProviderCall, fingerprint
from apps.providers.portal import letters
from apps.providers.portal.models import (
    OPEN_LETTERS,
    DefectiveKey,
    ProviderRequest,
    RequestLetter,
    RequestState,
)

audit.guarded("providers_activationkey", "providers_key_kept", "providers_key_sold_once")
audit.guarded("providers_keypool", "providers_pool_kept")
audit.guarded("providers_provider", "providers_provider_kept")
audit.guarded("providers_definitionversion", "providers_version_kept", "providers_version_whole")
audit.guarded("providers_connectordefinition", "providers_definition_kept")
audit.guarded("providers_providercall", "providers_call_kept")
# Its object is made of the pool's number, and stands in no table.
audit.OBJECTS[LOW_STOCK] = None


@audit.rule("providers.key-loaded-once", scope="public", of=(ActivationKey,))
def key_loaded_once() -> Iterator[str]:
    """Every fingerprint is that of its key, and no key is there twice: re-derived from the values."""
    seen: Counter[bytes] = Counter()
    for key in ActivationKey.objects.only("value", "fingerprint").iterator(chunk_size=5000):
        derived = fingerprint(key.value)
        seen[derived] += 1
        if derived != bytes(key.fingerprint):
            yield f"Key {key.pk} has another key's fingerprint"
        if seen[derived] == 2:
            yield f"Key {key.pk} is there twice"


@audit.rule("providers.key-sold-once", scope="public", of=(ActivationKey,))
def key_sold_once() -> Iterator[str]:
    """A free key has no buyer, a sold one has one buyer, and no request has two keys."""
    unsold = [ActivationKey.State.FREE, ActivationKey.State.RESERVED]
    sold = ActivationKey.objects.exclude(state__in=unsold)
    for key in sold.filter(request_id=None):
        yield f"Key {key.pk} is {key.state} to nobody"
    for key in ActivationKey.objects.filter(state__in=unsold, request_id__isnull=False):
        yield f"Key {key.pk} is {key.state} and has the buyer {key.request_id}"
    requests = Counter(sold.filter(request_id__isnull=False).values_list("request_id", flat=True))
    for request_id, count in requests.items():
        if count > 1:
            yield f"Request {request_id} has {count} keys"


@audit.rule(
    "providers.defective-is-claimed",
    scope="public",
    of=(
        audit.some(ActivationKey, state=ActivationKey.State.DEFECTIVE),
        DefectiveKey,
    ),
)
def defective_is_claimed() -> Iterator[str]:
    """A key of a pool that did not work is claimed from its provider, and no claimed one is sold any more."""
    claimed = DefectiveKey.objects.filter(request_id=OuterRef("request_id"))
    defective = Q(state=ActivationKey.State.DEFECTIVE)
    for key in ActivationKey.objects.filter(defective & ~Exists(claimed)):
        yield f"Key {key.pk} is defective, and nobody claims it"
    for key in ActivationKey.objects.filter(Exists(claimed)).exclude(defective):
        yield f"Key {key.pk} is claimed as defective, and is {key.state}"


@audit.rule(
    "providers.test-keys-apart", scope="public", of=(audit.some(ActivationKey, partner_id__isnull=False),)
)
def test_keys_apart() -> Iterator[str]:
    """A sandbox partner gets keys of test pools, every other one never does."""
    sandbox = set(Partner.objects.filter(is_sandbox=True).values_list("pk", flat=True))
    sold = ActivationKey.objects.filter(partner_id__isnull=False)
    for key in sold.select_related("pool").only("partner_id", "pool__is_test").iterator():
        if (key.partner_id in sandbox) != key.pool.is_test:
            pool = "test" if key.pool.is_test else "real"
            yield f"Key {key.pk} of a {pool} pool went to partner {key.partner_id}"


@audit.rule(
    "providers.connection-has-live-version",
    scope="public",
    of=(audit.some(Connection, connector=definitions.CONNECTOR),),
)
def connection_has_live_version() -> Iterator[str]:
    """A connection by a definition that a provider is reached through has a live version to be asked by."""
    live = set(
        DefinitionVersion.objects.filter(state=DefinitionVersion.State.LIVE).values_list(
            "definition__code", flat=True
        )
    )
    used = Provider.objects.filter(is_archived=False).values_list("connection", "test_connection")
    in_use = {key for pair in used for key in pair if key}
    for one in Connection.objects.filter(connector=definitions.CONNECTOR, is_enabled=True, pk__in=in_use):
        if one.config.get("definition") not in live:
            yield f"Connection {one.pk} speaks by {one.config.get('definition')!r}, of which no version is live"


@audit.rule("providers.live-version-holds", scope="public", of=(DefinitionVersion,))
def live_version_holds() -> Iterator[str]:
    """What is live can be worked by, and was tested before it went live."""
    for one in DefinitionVersion.objects.filter(state=DefinitionVersion.State.LIVE):
        if wrong := definitions.problems(one):
            yield f"Version {one.pk} is live and does not hold: {wrong[0].field}"
        if one.tested_at is None or one.live_at is None or one.tested_at > one.live_at:
            yield f"Version {one.pk} went live untested"


@audit.rule("providers.no-secret-described", scope="public", of=(DefinitionVersion,))
def no_secret_described() -> Iterator[str]:
    """No document and no recorded exchange holds a secret of a connection that speaks by it."""
    for one in DefinitionVersion.objects.select_related("definition"):
        if place := definitions.secret_in(one.definition.code, one.document, one.exchange):
            yield f"Version {one.pk} holds a secret of its connection at {place}"


@audit.rule("providers.call-has-its-service", scope="public", of=(ProviderCall,))
def call_has_its_service() -> Iterator[str]:
    """A call is of the definition that its connection speaks by."""
    calls = ProviderCall.objects.select_related("reference__connection", "version__definition")
    for one in calls.iterator(chunk_size=2000):
        connection = one.reference.connection
        if connection.connector != definitions.CONNECTOR:
            yield f"Call {one.pk} is remembered of connection {connection.pk}, which remembers nothing"


@audit.rule(
    "providers.asked-by-letter",
    scope="public",
    of=(
        audit.some(ProviderRequest, connection__isnull=False),
        audit.some(RequestLetter, state__in=OPEN_LETTERS),
    ),
)
def asked_by_letter() -> Iterator[str]:
    """Who is asked by letter was written to; what has not left is on its way, what is unanswered is watched."""
    written = RequestLetter.objects.filter(request=OuterRef("pk"))
    asked = ProviderRequest.objects.filter(connection__isnull=False)
    for row in asked.filter(~Exists(written)):
        yield f"Request {row.pk} is to be asked by letter, and none was written"
    planned = Due.objects.filter(kind=letters.SEND, object_id=OuterRef("pk"))
    for letter in RequestLetter.objects.filter(~Exists(planned), state__in=OPEN_LETTERS):
        yield f"Letter {letter.pk} has not left, and nobody sends it"
    watched = Due.objects.filter(kind=letters.REMIND, object_id=OuterRef("pk"))
    last = WorkItem.objects.filter(kind=letters.KIND, object_id=OuterRef("pk"))
    for row in asked.filter(~Exists(watched), ~Exists(last), state=RequestState.PENDING):
        yield f"Request {row.pk} waits for its provider's letter, and nobody looks"
