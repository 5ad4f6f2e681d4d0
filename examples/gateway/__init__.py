"""What trio_gateway.py and asyncio_gateway.py have in common: the ASGI app, and a client."""
