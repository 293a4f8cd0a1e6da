"""The fusion encoder: BERT whose first layers read a caption alone and whose last layers also look at an image (ALBEF).

Three savings change no result: keys and values of an image are projected once however many captions look at it
(`remember`), captions of one image ask together (`pickout.nn.shared_keys`), and where only the class token is wanted,
the last layer computes no other.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pickout.nn.attention import Attended
from pickout.nn.bert import EPSILON, Embeddings, FusionLayer, TextLayer, start_as_bert
from pickout.nn.shared_keys import Grouping, ImageMemory, group_rows
from pickout.nn.text import TextSettings, check_length, first_content
from pickout.nn.transformer import LayerNorm, TowerOutput, by_first_token, check_request, run_layers
from pickout.shapes import NO_ATTENTION, AttentionRequest, Bool, Float, Int, TokenBatch


@dataclass(frozen=True, slots=True)
class Fused:
    """Captions after they looked at images."""

    summary: Float[Tensor, "rows width"]  # the class token of every row
    tokens: Float[Tensor, "full_rows tokens width"]  # all tokens of the rows behind the first `summary_rows`
    looks: dict[int, Tensor] = field(default_factory=dict)
    """By fusion layer (from 1), where each row's class token looked. Shape of each: (rows, image_tokens)."""
    look_maps: dict[int, Tensor] = field(default_factory=dict)
    """By fusion layer, where every token looked. Shape of each: (rows, tokens, image_tokens)."""


class FusionEncoder(nn.Module):
    """Captions to states, and states with images to fused states.

    Args:
        settings: of kind `bert`; its embedding is only remembered, for whoever projects.
        vocabulary_size: number of token ids.
        memory_width: width of an image token.
        padding: id of padding.
        start: id of the class token that opens a caption.
        end: id of the closing token, None where captions have none.
    """

    def __init__(
        self,
        settings: TextSettings,
        *,
        vocabulary_size: int,
        memory_width: int,
        padding: int,
        start: int,
        end: int | None = None,
    ) -> None:
        super().__init__()
        self.context, self.width, self.embedding = settings.positions, settings.width, settings.embedding
        self.vocabulary_size, self.heads = vocabulary_size, settings.heads
        self.padding, self.start, self.end = padding, start, end
        self.layers, self.fusion_layers = settings.layers, settings.fusion_layers
        width, dropout = settings.width, settings.dropout
        sizes = (width, settings.heads, settings.feed_forward or 4 * width, dropout)
        self.embeddings = Embeddings(vocabulary_size, settings.positions, width, padding, dropout)
        self.text_layers = nn.ModuleList(TextLayer(*sizes) for _ in range(settings.layers))
        self.fusion = nn.ModuleList(FusionLayer(*sizes, memory_width) for _ in range(settings.fusion_layers))
        start_as_bert(self, width)

    def forward(self, texts: TokenBatch, attention: AttentionRequest = NO_ATTENTION) -> TowerOutput:
        """The text layers' states of captions whose first token is the class token; not projected.

        Raises:
            ValueError: captions longer than the context, or a layer that is not there.
        """
        check_length(texts, self.context)
        check_request(attention, self.layers)
        seen_BT = None if bool(texts.mask.all()) else texts.mask
        x_BTD, rows, maps = run_layers(self.text_layers, self.embeddings(texts.ids), attention, seen_BT)
        return by_first_token(x_BTD, rows, maps, self.content(texts))

    def content(self, texts: TokenBatch) -> Bool[Tensor, "batch tokens"]:
        """True where a token is a word piece: no class token, closing token or padding."""
        return first_content(texts, self.end)

    def remember(self, tokens_IND: Float[Tensor, "images tokens width"]) -> ImageMemory:
        """Keys and values of images, from tokens after the tower's final norm, for every fusion layer."""
        pairs = [layer.cross.remember(tokens_IND) for layer in self.fusion if isinstance(layer, FusionLayer)]
        return ImageMemory(*zip(*pairs, strict=True))

    def fuse(
        self,
        states_RTD: Float[Tensor, "rows tokens width"],
        mask_RT: Bool[Tensor, "rows tokens"],
        memory: ImageMemory,
        image_R: Int[Tensor, " rows"] | None = None,
        *,
        summary_rows: int = 0,
        request: AttentionRequest = NO_ATTENTION,
    ) -> Fused:
        """The fusion layers.

        Args:
            states_RTD: captions after the text layers.
            mask_RT: True where a token is not padding.
            memory: from `remember`.
            image_R: which image of the memory each row looks at; None: row r looks at image r.
            summary_rows: of so many rows, the first ones, only the class token is wanted; the last layer then computes
                no other.
            request: which fusion layers' cross-attention to expose (from 1): class tokens' rows or whole maps, as this
                very pass computes them; costs keys copied for each row, and all tokens in the last layer for its map.

        Raises:
            ValueError: without `image_R` another number of rows than images, more `summary_rows` than rows, or a layer
                that is not there.
        """
        rows, last = len(states_RTD), self.fusion_layers
        if image_R is None and rows != memory.images:
            raise ValueError(f"{rows} captions and {memory.images} images do not pair off")
        if not 0 <= summary_rows <= rows:
            raise ValueError(f"the class token alone is wanted of {summary_rows} rows, and there are {rows}")
        check_request(request, last)
        if rows == 0:
            return Fused(states_RTD[:, 0], states_RTD)
        alone = 0 if request.wants_map(last) else summary_rows
        whole = _cut(states_RTD, image_R, memory.images, 0)
        at_last = _cut(states_RTD, image_R, memory.images, alone) if alone else whole
        seen_RT = None if bool(mask_RT.all()) else mask_RT
        looks: dict[int, Tensor] = {}
        look_maps: dict[int, Tensor] = {}
        parts = [Attended(states_RTD, None, None)]
        for number, layer in enumerate(self.fusion, start=1):
            x_RTD, keys, values = parts[0].tokens, memory.keys[number - 1], memory.values[number - 1]
            read = {"row": request.wants_row(number), "map": request.wants_map(number)}
            parts = []
            for part, queries, grouping in whole if number < last else at_last:
                seen = None if seen_RT is None else seen_RT[part]
                parts.append(layer(x_RTD[part], seen, keys, values, grouping, queries=queries, **read))
            if read["row"]:
                looks[number] = torch.cat([part.row for part in parts if part.row is not None])
            if read["map"]:
                look_maps[number] = torch.cat([part.map for part in parts if part.map is not None])
        tokens = parts[-1].tokens[summary_rows - alone :] if alone < rows else states_RTD[:0]
        return Fused(torch.cat([part.tokens[:, 0] for part in parts]), tokens, looks, look_maps)


def _cut(
    states_RTD: Tensor, image_R: Tensor | None, images: int, alone: int
) -> list[tuple[slice, int | None, Grouping | None]]:
    """Rows, how many of their first tokens are wanted (None: all), and which images they read.

    All rows together, or cut in two where only the class token is wanted of the first `alone`.
    """
    (rows, tokens), cuts = states_RTD.shape[:2], []
    for part, queries in ((slice(0, alone), 1), (slice(alone, rows), None)):
        count = part.stop - part.start
        grouping = None
        if image_R is not None or count < rows:
            read = torch.arange(rows, device=states_RTD.device) if image_R is None else image_R
            grouping = group_rows(read[part], images, queries or tokens)
        if count:
            cuts.append((part, queries, grouping))
    return cuts


class MaskedWordHead(nn.Module):
    """From states to logits over the vocabulary: dense, GELU, norm, then the word embeddings and a bias of their own.

    Args:
        width: width of a state.
        vocabulary_size: number of token ids.
    """

    def __init__(self, width: int, vocabulary_size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = LayerNorm(width, eps=EPSILON)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        start_as_bert(self, width)

    def forward(
        self, states: Float[Tensor, "*axes width"], words_VD: Float[Tensor, "vocabulary width"]
    ) -> Float[Tensor, "*axes vocabulary"]:
        """Logits.

        Args:
            states: fused states, usually only those at hidden positions: a logit costs `width` multiplications.
            words_VD: the word embeddings, which the decoder shares.
        """
        return F.linear(self.norm(F.gelu(self.dense(states))), words_VD, self.bias)
