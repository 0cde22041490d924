"""What people look at: charts for the Dagster UI, tables for the terminal. Takes frames and rows, fetches nothing."""
