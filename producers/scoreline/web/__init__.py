"""What the two HTTP servers share, the gateway and the read side: answers, and uvicorn with bounds.

It needs the extra of either; nothing else in `scoreline` imports it.
"""
