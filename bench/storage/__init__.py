"""Object stores: addresses such as s3://bucket/runs, and local folders that are copied to and from them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.storage.address import Address, absolute, is_address
    from bench.storage.copies import bring_rest, brought, place, shown, written
    from bench.storage.data_copies import local_data
    from bench.storage.mirror import INDEX, UNSENT, Mirror, is_large, mirror_of, spooled
    from bench.storage.store import LIMIT_VARIABLE, PUBLIC_VARIABLES, STORE_SECONDS, Store, StoreError
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
