"""What needs pandas, polars, dlt or DuckDB; nox has a session for it."""
