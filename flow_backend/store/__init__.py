"""The database: SQLite by default, PostgreSQL by URL. Tables, migrations, and what reads them."""
