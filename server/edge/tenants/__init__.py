"""Who may call and how much: keys and certificates to tenants, tenants to quotas. Pure; the time is an argument.

key        what a tenant's keys look like, and what of them is kept
roll       the file that lists the tenants
bucket     rows a second, with a burst
accounts   what each tenant has used
door       a call comes in: who is it, and may it?
"""
