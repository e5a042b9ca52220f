"""What other score SDKs send over HTTP, as scores of ours: a router per family, on top of the intake."""
