"""HTTP intake: scores from any language, and from SDKs that teams already use, to `scores.raw`."""
