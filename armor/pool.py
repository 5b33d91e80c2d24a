"""What happens to a database connection when it comes back to the pool."""

from typing import Any


def forget_schema(connection: Any) -> None:
    """Takes whose data a connection was last about from it: whoever forgets to say so anew finds nobody's."""
    connection.execute("RESET search_path")
    if not connection.autocommit:
        connection.commit()
