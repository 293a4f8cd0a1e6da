"""A service for agents, by the Model Context Protocol: search, explain, look at a crop, list cameras."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field, ValidationError

from pickout import __version__
from pickout.errors import PickoutError
from pickout.gallery.audit.log import Acting, acting
from pickout.gallery.storage.tables import first_fault
from pickout.serve.access import Action, Actor
from pickout.serve.crops import explained, own_picture
from pickout.serve.hosting import Hosted
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
    server = MCPServer("pickout", instructions=_ABOUT, version=__version__)

    @contextmanager
    def asking() -> Iterator[Actor]:
        """Who asks; what goes wrong within is told as an agent may read it."""
        try:
            yield service.tokens.actor(token, "mcp", near=True)
        except ValidationError as error:
            raise ToolError(first_fault(error)) from None
        except PickoutError as error:
            raise ToolError(service.told(error)) from None

    @contextmanager
    def asked(action: Action, gallery: str, purpose: str) -> Iterator[tuple[Actor, Hosted, Acting]]:
        """Who asks, the gallery, and what the audit tells of it."""
        with asking() as asker:
            hosted, who = service.gallery(asker, action, gallery), service.acting(asker, purpose)
            with acting(who):
                yield asker, hosted, who

    @server.tool()
    def cameras() -> str:
        """The galleries, with their cameras and what else can be filtered by, and the purposes that may be given."""
        with asking() as asker:
            seen = [service.gallery(asker, Action.SEARCH, name) for name in service.visible(asker)]
            return json.dumps({hosted.name: service.describe(asker, hosted) for hosted in seen})

    @server.tool()
    def search(
        gallery: _Gallery,
        purpose: _Purpose,
        sentence: Annotated[str, Field(description="The person, for example 'a woman in a teal jacket'.")],
        where: Annotated[dict[str, Any] | None, Field(description="Filters: cameras, not_cameras, after ...")] = None,
        top: Annotated[int, Field(description="How many candidates.", ge=1, le=50)] = 10,
    ) -> str:
        """The crops that fit a description best, as candidates for a person to check."""
        with asked(Action.SEARCH, gallery, purpose) as (asker, hosted, who):
            body = SearchBody(sentences=[sentence], where=Filters(**(where or {})), top=top)
            answer, tell = service.search(asker, hosted, body, who)
            return json.dumps(tell(answer.result()))

    @server.tool()
    def look(gallery: _Gallery, purpose: _Purpose, crop: _Crop) -> Image:
        """The picture of a candidate."""
        with asked(Action.IMAGE, gallery, purpose) as (asker, hosted, _):
            content, kind = own_picture(asker, hosted, crop, blur=False)
            return Image(data=content, format=kind.rpartition("/")[2])

    @server.tool()
    def explain(gallery: _Gallery, purpose: _Purpose, crop: _Crop, sentence: str) -> str:
        """On which words and places a candidate's score rests, as far as that was measured to be true."""
        with asked(Action.EXPLAIN, gallery, purpose) as (asker, hosted, _):
            return json.dumps(explained(service, asker, hosted, crop, SentenceBody(sentence=sentence).sentence))

    return server
