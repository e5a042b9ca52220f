"""`GET /v1/…`: the questions of `Analytics` over HTTP."""
