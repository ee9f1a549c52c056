"""Who may call, and how much: keys and client certificates identify tenants, and tenants have quotas.

api_key        the form of a tenant's API keys, and the hash that the server keeps
tenants_file   the TOML file that lists the tenants
token_bucket   limits rows per second, with a burst
accounts       what each tenant has used of its quotas
authenticator  finds a call's tenant and admits or refuses the call
certificate    the server's own certificate, read from files and checked
"""
