"""The server on several processes or machines, through Ray Serve: one front door, many replicas of the application.

`gateway` is the front door: the server of `lifecycle` with all its guards, which passes requests on. `replica` is what
Ray runs several times: the whole application of `app`, with models of its own. `router` chooses a replica by the
prompt's beginning (`prefix`), so that what one of them has in its prefix cache is found again.
"""
