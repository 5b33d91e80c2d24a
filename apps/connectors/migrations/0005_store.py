"""An incoming message is stored, deduplicated and planned in one round trip, with plans that the database keeps.

Its statements sent one by one take the database twice as long, most of it for planning over the months' partitions.
"""

from django.db import migrations

# The lock is taken first: what is looked for after it sees what it waited for. A unique index over partitions would
# have to hold the month as well; the lock holds over all of them.
STORE = """
CREATE FUNCTION connectors_store(
    the_lock bigint, new_id uuid, the_connection bigint, at_moment timestamptz, the_method text, the_query text,
    the_headers text, the_body text, the_fingerprint bytea, the_kind text
) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    kept_id uuid;
    kept_state text;
BEGIN
    PERFORM pg_advisory_xact_lock(the_lock);
    UPDATE public.connectors_inboundmessage SET copies = copies + 1
        WHERE connection_id = the_connection AND fingerprint = the_fingerprint
        RETURNING id, state INTO kept_id, kept_state;
    IF kept_id IS NULL THEN
        INSERT INTO public.connectors_inboundmessage
            (id, connection_id, received_at, method, query, headers, body, fingerprint, copies, state, error)
        VALUES (new_id, the_connection, at_moment, the_method, the_query, the_headers, the_body, the_fingerprint,
            0, 'new', '');
        kept_id := new_id;
    ELSIF kept_state = 'done' THEN
        RETURN kept_id;
    END IF;
    INSERT INTO public.core_due AS due (kind, object_id, due_at, is_sandbox, attempts, error)
        VALUES (the_kind, kept_id, at_moment, false, 0, '')
        ON CONFLICT (partner_id, kind, object_id) DO UPDATE SET due_at = excluded.due_at, lane = NULL,
            is_sandbox = false, attempts = 0, error = '', lease = NULL, leased_until = NULL;
    RETURN kept_id;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("connectors", "0004_breaker"), ("core", "0005_lanes")]
    operations = [migrations.RunSQL(STORE, "DROP FUNCTION connectors_store")]
