"""A service for agents, by the Model Context Protocol: search, explain, look at a crop, list cameras."""

import json
from collections.abc import Callable
from typing import Annotated, Any

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field, ValidationError

from pickout import __version__
from pickout.errors import PickoutError
from pickout.gallery.storage.tables import first_fault
from pickout.serve.access import OWNER, Actor
from pickout.serve.crops import Crops
from pickout.serve.requests import Filters, SearchBody, SentenceBody
from pickout.serve.service import Service

_Gallery = Annotated[str, Field(description="The gallery's name, as `cameras` tells it.")]
_Purpose = Annotated[str, Field(description="What this is for; one of those that `cameras` tells.")]
_Crop = Annotated[str, Field(description="A candidate's id.")]
_ABOUT = (
    "Find people in pictures from a description of clothes, hair, bags and things carried. Results are candidates, not "
    "identifications: a person must check each one. Every question is recorded, with its purpose."
)


def create_mcp(service: Service, token: str | None) -> MCPServer:
    """The server of tools."""
    crops = Crops(service)
    server = MCPServer("pickout", instructions=_ABOUT, version=__version__)

    def actor() -> Actor:
        return service.tokens.actor(token, "mcp") if service.tokens.all() else OWNER

    @server.tool()
    def cameras() -> str:
        """The galleries, with their cameras and what else can be filtered by, and the purposes that may be given."""
        return _told(lambda: {name: service.describe(actor(), name) for name in service.visible(actor())})

    @server.tool()
    def search(
        gallery: _Gallery,
        purpose: _Purpose,
        sentence: Annotated[str, Field(description="The person, for example 'a woman in a teal jacket'.")],
        where: Annotated[dict[str, Any] | None, Field(description="Filters: cameras, not_cameras, after ...")] = None,
        top: Annotated[int, Field(description="How many candidates.", ge=1, le=50)] = 10,
    ) -> str:
        """The crops that fit a description best, as candidates for a person to check."""

        def found() -> dict[str, Any]:
            body = SearchBody(sentences=[sentence], where=Filters(**(where or {})), top=top)
            who = actor()
            searching = service.search(who, gallery, body, service.acting(who, purpose))
            return searching.as_json(searching.answer.result())

        return _told(found)

    @server.tool()
    def look(gallery: _Gallery, purpose: _Purpose, crop: _Crop) -> Image:
        """The picture of a candidate."""
        try:
            who = actor()
            content, kind = crops.original(who, gallery, crop, service.acting(who, purpose), blur=False)
            return Image(data=content, format=kind.rpartition("/")[2])
        except PickoutError as error:
            raise ToolError(service.told(error)) from None

    @server.tool()
    def explain(gallery: _Gallery, purpose: _Purpose, crop: _Crop, sentence: str) -> str:
        """On which words and places a candidate's score rests, as far as that was measured to be true."""

        def explained() -> dict[str, Any]:
            asked, who = SentenceBody(sentence=sentence).sentence, actor()
            return crops.explain(who, gallery, crop, asked, service.acting(who, purpose))

        return _told(explained)

    def _told(ask: Callable[[], dict[str, Any]]) -> str:
        try:
            return json.dumps(ask())
        except ValidationError as error:
            raise ToolError(first_fault(error)) from None
        except PickoutError as error:
            raise ToolError(service.told(error)) from None

    return server
