"""What scoreline is delivered with: its packages, their licences, a bill of materials."""
