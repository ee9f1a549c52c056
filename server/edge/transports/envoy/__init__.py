"""The method table inside Envoy: Envoy speaks HTTP/2 and pyvoy brings each request here as an ASGI call.

configuration    what Envoy is told: listener, limits, keepalive
admin            the way back to that Envoy: its port, its drain
hangups          which callers went away, told by Envoy
request          a call's headers, read by the gRPC HTTP/2 specification
frames           messages out of body pieces and back
response         status and metadata as headers and trailers
calls            unary calls, streams and dialogues
transport        the ASGI application over the method table
"""
