"""The client of the endpoints: embed, classify and compare pictures and texts, and search figures.

    from figclip.client import Client

    with Client("http://127.0.0.1:8000", key="...") as client:
        vectors = client.embed(["chest CT", Path("scan.png")]).vectors

It needs neither torch nor Ray; only a `Client(..., encoder=FOLDER)`, which embeds on this machine
and sends nothing but vectors, loads a model. `figclip.client.folders` embeds folders of pictures.
"""

from figclip.client.calls import Client, Embedded
from figclip.client.faults import ServiceError
from figclip.client.finding import Neighbours
from figclip.client.patience import Patience
from figclip.client.rows import Row

__all__ = ["Client", "Embedded", "Neighbours", "Patience", "Row", "ServiceError"]
