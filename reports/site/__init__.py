"""A folder of static pages: every cell over the releases, the reports of these, and any two of them compared."""

from reports.site.making import write_site

__all__ = ["write_site"]
