"""The method table for browsers and curl: the Connect protocol over HTTP, and one page that uses it.

json_messages  a method whose messages are JSON
connect        a call's headers, and its outcome as an HTTP response, by the Connect protocol
cors           which pages may call
static         the page's files
response       what HTTP answers
app            the ASGI application over the method table
"""
