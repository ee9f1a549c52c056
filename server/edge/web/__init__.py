"""The web edge: the method table for browsers and curl by the Connect protocol, and one web page that uses it.

json_messages  wraps a method so that its messages are JSON
connect        reads a call's headers and writes its HTTP response, by the Connect protocol
cors           which web pages may call
static         the web page's files as responses
response       an HTTP response
app            the ASGI application over the method table
"""
