"""Several backends on one PostgreSQL and one Redis: each session runs in one of them at a time.

Redis says which replica has a session (`membership`), carries the calls of the others to it
(`inbox`) and every turn's events, before any reader has them (`relay`). So any replica serves any
call, and goes on with the turns of one that died. May import the engine; the engine knows the
protocols that it fulfils.
"""
