"""Who may call and how much: keys and certificates to tenants, tenants to quotas. Pure; the time is an argument.

api_key        what a tenant's keys look like, and what of them is kept
tenants_file   the file that lists the tenants
token_bucket   rows a second, with a burst
accounts       what each tenant has used
authenticator  a call comes in: who is it, and may it?
certificate    the server's own, read from files and proved
"""
