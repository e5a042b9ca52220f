"""The Faust worker: raw scores in, enriched and rejected scores out, once each."""
