"""Where the tables are made: DuckDB on one machine, or Spark on many."""
