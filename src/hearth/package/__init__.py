"""A compiled model as a static site: a page, what it runs, and the model in chunks that are named by their content.

Knows nothing of compiling: it says of a model whether a page can run it, and takes a bundle for WebAssembly. What it
writes is described in docs/browser.md.
"""

from hearth.package.able import require_page
from hearth.package.chunks import CHUNK_BYTES
from hearth.package.files import SiteFile, site_file
from hearth.package.kept import kept_site
from hearth.package.serve import site_server
from hearth.package.site import MODEL, Site, write_site

__all__ = [
    "CHUNK_BYTES",
    "MODEL",
    "Site",
    "SiteFile",
    "kept_site",
    "require_page",
    "site_file",
    "site_server",
    "write_site",
]
