"""The web side: sign-in, the status page, /healthz, /metrics and SIP over WebSocket on the page's own origin.

Quart-Trio on Hypercorn's HTTP/1.1, inside a nursery of ours. It reads what floor 3 shows and changes nothing there;
what it needs of other rooms is handed in by app.py. Its failure hurts no call.
"""
