"""The Helm chart's generated parts: topics and rights as the code declares them, values in its README, manifests."""
