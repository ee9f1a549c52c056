"""The transport inside Envoy: Envoy speaks HTTP/2, and pyvoy passes each request to this code as an ASGI call.

configuration       Envoy's configuration: listener, limits, keepalive
admin               Envoy's admin interface: its port, its state, its drain
listener            when Envoy starts and stops to listen
sds                 where Envoy finds the TLS certificate, and when it reads it again
hangups             which callers left before their answer, as Envoy reports it
client_certificate  the names in a client certificate that Envoy has verified
request             a call's headers, read by the gRPC HTTP/2 specification
frames              messages from pieces of a body, and back
response            status and metadata as headers and trailers
calls               unary calls, streams and dialogues
transport           the ASGI application over the method table
"""
