"""The AT Protocol: data model, lexicons, identity, repositories, proofs, event streams, sessions.

A **PDS** is the server that holds an account's repository. The **rev** of a repository is a TID that grows with each
commit. **XRPC** is HTTP with a method's name as the path: ``/xrpc/com.atproto.repo.getRecord``.
"""
