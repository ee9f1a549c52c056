"""The method table for browsers and curl: the Connect protocol over HTTP, and one page that uses it.

messages     a method whose messages are JSON
connect      a call's headers, and its outcome as an HTTP response, by the Connect protocol
origins      which pages may call
page         the page's files
response     what HTTP answers
front        the ASGI application over the method table
"""
