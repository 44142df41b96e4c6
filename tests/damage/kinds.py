"""Every kind of input that l8s2 reads, by name. A new one is a row here."""

from damage import answers, archives, models, products, rasters, safe, stores, texts
from damage.case import Kind

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        rasters.PRODUCT,
        *archives.KINDS,
        *safe.KINDS,
        *texts.KINDS,
        *products.KINDS,
        *stores.KINDS,
        *models.KINDS,
        *answers.KINDS,
    )
}
