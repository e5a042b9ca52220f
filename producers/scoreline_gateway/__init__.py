"""The gateway: scores over HTTP, checked as everywhere, acknowledged when the broker has them."""
