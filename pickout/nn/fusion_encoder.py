"""The fusion encoder: BERT whose first layers read a caption alone and whose last layers also look at an image (ALBEF).

Four savings change no result: keys and values of an image are projected once however many captions look at it
(`remember`), captions of one image ask together (`pickout.nn.attention`), where only the class token is wanted, the
last layer computes no other, and rows of similar length run together (`read_by_length`), so that little padding is
computed: what comes back at padding is zero. With `whole` it is computed too, and all rows go together."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pickout.nn.attention import Attended, Grouping, ImageMemory, group_rows
from pickout.nn.bert import EPSILON, Embeddings, FusionLayer, TextLayer, start_as_bert
from pickout.nn.towers import TextSettings, check_length, first_content
from pickout.nn.transformer import LayerNorm, TowerOutput, by_first_token, check_asked, run_layers
from pickout.shapes import NO_ATTENTION, AttentionRequest, Bool, Float, Int, Ints, Mask, States, TokenBatch

_ROWS, _MOST = 48, 4  # of a band at least, and bands at most: narrower ones pad less, and make more, smaller products


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
    """Captions to states, and states with images, whose tokens have `memory_width`, to fused states. `settings` are of
    kind `bert`; their embedding is only remembered, for whoever projects. `padding`, `start` and `end` are the ids of
    padding, class token and closing token; None where captions have no closing token."""

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
        self.vocabulary_size, self.padding, self.start, self.end = vocabulary_size, padding, start, end
        self.layers, self.fusion_layers, self.heads = settings.layers, settings.fusion_layers, settings.heads
        width, dropout = settings.width, settings.dropout
        sizes = (width, settings.heads, settings.feed_forward or 4 * width, dropout)
        self.embeddings = Embeddings(vocabulary_size, settings.positions, width, padding, dropout)
        self.text_layers = nn.ModuleList(TextLayer(*sizes) for _ in range(settings.layers))
        self.fusion = nn.ModuleList(FusionLayer(*sizes, memory_width) for _ in range(settings.fusion_layers))
        start_as_bert(self, width)

    def forward(self, texts: TokenBatch, attention: AttentionRequest = NO_ATTENTION) -> TowerOutput:
        """The text layers' states of captions whose first token is the class token; not projected. `ValueError` for
        captions longer than the context, or a layer that is not there."""
        check_length(texts, self.context)
        seen_BT = None if bool(texts.mask.all()) else texts.mask
        stacked = run_layers(self.text_layers, self.embeddings(texts.ids), attention, seen_BT)
        return by_first_token(stacked, self.content(texts))

    def content(self, texts: TokenBatch) -> Mask:
        """True where a token is a word piece: no class token, closing token or padding."""
        return first_content(texts, self.end)

    def remember(self, tokens_IND: Float[Tensor, "images tokens width"]) -> ImageMemory:
        """Keys and values of images, from tokens after the tower's final norm, for every fusion layer."""
        pairs = [layer.cross.remember(tokens_IND) for layer in self.fusion if isinstance(layer, FusionLayer)]
        return ImageMemory(*zip(*pairs, strict=True))

    def fuse(
        self,
        states_RTD: States,
        mask_RT: Mask,
        memory: ImageMemory,
        image_R: Ints | None = None,
        *,
        summary_rows: int = 0,
        request: AttentionRequest = NO_ATTENTION,
    ) -> Fused:
        """The fusion layers, over captions after the text layers; `mask_RT` is True where a token is not padding. Row r
        looks at the image `image_R[r]` of the memory, from `remember`; None: at image r. Of the first `summary_rows`
        rows only the class token is wanted; the last layer then computes no other. `request` tells which fusion layers'
        cross-attention to expose (from 1): class tokens' rows or whole maps, as this very pass computes them; it costs
        keys copied for each row, and all tokens in the last layer for its map. `ValueError`: without `image_R` another
        number of rows than images, or a layer that is not there."""
        rows, images, last = len(states_RTD), len(memory.keys[0]), self.fusion_layers
        if image_R is None and rows != images:
            raise ValueError(f"{rows} captions and {images} images do not pair off")
        check_asked(request, last)
        if rows == 0:
            return Fused(states_RTD[:, 0], states_RTD)
        alone = 0 if request.wants_map(last) else summary_rows
        whole = _cut(states_RTD, image_R, images, 0)
        at_last = _cut(states_RTD, image_R, images, alone) if alone else whole
        seen_RT = None if bool(mask_RT.all()) else mask_RT
        looks, look_maps = dict[int, Tensor](), dict[int, Tensor]()
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
    """Rows, how many of their first tokens are wanted (None: all), and which images they read. All rows together, or
    cut in two where only the class token is wanted of the first `alone`."""
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


def bands(mask_RT: Bool[Tensor, "rows tokens"], *, whole: bool) -> Iterator[tuple[Int[Tensor, " band"], int]]:
    """Rows by ascending length, in bands, each in the order of its rows, and the longest length of each."""
    if whole:
        yield torch.arange(len(mask_RT), device=mask_RT.device), mask_RT.shape[1]
        return
    lengths = mask_RT.sum(dim=1).clamp(min=1).cpu()
    for band in lengths.argsort(stable=True).chunk(min(_MOST, max(1, len(lengths) // _ROWS))):
        yield band.sort().values.to(mask_RT.device), int(lengths[band].max())


def read_by_length(encoder: FusionEncoder, texts: TokenBatch, *, whole: bool = False) -> States:
    """The text layers' states of captions that are padded to one length."""
    found = []
    for rows, longest in bands(texts.mask, whole=whole):
        states = encoder(TokenBatch(texts.ids[rows, :longest], texts.mask[rows, :longest])).tokens
        found.append((rows, F.pad(states, (0, 0, 0, texts.ids.shape[1] - longest))))
    return _restored(*zip(*found, strict=True))


def fuse_by_length(
    encoder: FusionEncoder,
    states_RTD: States,
    mask_RT: Mask,
    memory: ImageMemory,
    image_R: Ints,
    *,
    summary_rows: int = 0,
    whole: bool = False,
) -> Fused:
    """The fusion layers; arguments as in `FusionEncoder.fuse`."""
    summaries, tokens = [], []
    for rows, longest in bands(mask_RT, whole=whole):
        short = int((rows < summary_rows).sum())
        states, mask = states_RTD[rows, :longest], mask_RT[rows, :longest]
        fused = encoder.fuse(states, mask, memory, image_R[rows], summary_rows=short)
        summaries.append((rows, fused.summary))
        padded = F.pad(fused.tokens, (0, 0, 0, mask_RT.shape[1] - longest))
        tokens.append((rows[short:] - summary_rows, padded if short < len(rows) else states_RTD[:0]))
    return Fused(_restored(*zip(*summaries, strict=True)), _restored(*zip(*tokens, strict=True)))


def _restored(order: tuple[Tensor, ...], parts: tuple[Tensor, ...]) -> Tensor:
    """Rows of all bands in their first order."""
    return torch.cat(parts).index_select(0, torch.cat(order).argsort()) if len(parts) > 1 else parts[0]


class MaskedWordHead(nn.Module):
    """From states to logits over the vocabulary: dense, GELU, norm, then the word embeddings and an own bias."""

    def __init__(self, width: int, vocabulary_size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = LayerNorm(width, eps=EPSILON)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        start_as_bert(self, width)

    def forward(
        self, states: Float[Tensor, "*axes width"], words_VD: Float[Tensor, "vocabulary width"]
    ) -> Float[Tensor, "*axes vocabulary"]:
        """Logits of fused states, usually only those at hidden positions; the decoder shares the word embeddings."""
        return F.linear(self.norm(F.gelu(self.dense(states))), words_VD, self.bias)
