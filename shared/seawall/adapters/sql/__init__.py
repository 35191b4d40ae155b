"""The store on SQLAlchemy 2 Core: SQLite (WAL) embedded, PostgreSQL deployed; one set of tables and tests for both."""
