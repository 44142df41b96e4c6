"""A product, or a folder of products, as a web page for who decides whether to trust it."""
