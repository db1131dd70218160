"""A folder of static pages: every cell over the releases, the reports of these, and any two of them compared."""

from reports.site.folder import check_folder as check_site_folder
from reports.site.making import write_site

__all__ = ["check_site_folder", "write_site"]
