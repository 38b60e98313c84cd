"""The atproto wire: guarded HTTP, identities, repositories, sessions.

*Terminology.* A **PDS** is the server that holds an account's repository. The **rev** of a repository is a TID that
grows with each commit. **XRPC** is HTTP with a method's name as the path: ``/xrpc/com.atproto.repo.getRecord``.

*Tricky bits.*

- Every host we are told (in a DID document, a handle, a redirect, a shard's URL) is somebody else's input. Only
  :mod:`~catalog.network.http` opens connections, and only to addresses that it has checked.
- What a PDS lists is its word, not a proof: a PDS may list an account that lives elsewhere.
"""
