"""HTTP and WebSockets to untrusted hosts: SSRF guard, rate limits, retries, bounded bytes and time.

Every host name in a DID document, a handle, a redirect or a shard's URL is foreign input. Only this package opens
connections, and only to addresses that it has checked.
"""
