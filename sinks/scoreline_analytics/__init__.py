"""The read side: questions about scores, answered by ClickHouse. It reads only, and only ClickHouse."""
