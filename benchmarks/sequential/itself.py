"""ITSELF's training step in the order of the released program: the slow twin of `pickout.methods.itself`.

Section numbers are those of the specification that tells paper and release apart. What the release does and ours does
not: every layer of both towers writes out the attention of every head and keeps its mean, all twelve are stacked, maps
are rolled out, banks pooled and pairs made sample by sample, and each of the 3 B pairs of CID is fused in whole, both
ways round. The weights are those of a model of ours, used as they stand. Ties of padding are broken as ours does it,
where the release leaves it open, and the class of mismatched pairs is the method's. Its dead parameters and its weights
in half precision are left out.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.data.batching import Batch
from pickout.losses.identity import mismatch_label
from pickout.methods.itself import Itself
from pickout.methods.objective import Objective
from pickout.nn.heads import GrabHead
from pickout.nn.transformer import Layer, Transformer


def losses(method: Itself, batch: Batch, step: int) -> dict[str, Tensor]:
    """The terms, under our names, of a batch at this optimiser step, counted from 1. Only `selection = "mars"`."""
    identity, ids = batch.identity, batch.texts.ids
    image_tokens, image_maps = see(method, batch.images)
    end = ids.argmax(dim=-1)
    text_tokens, text_maps = read(method, ids)
    kept_patches = annealed(method, method.image_selection.selectable, step)
    kept_words = annealed(method, method.text_selection.selectable, step)
    image_global, text_global = image_tokens[:, 0].float(), text_tokens[torch.arange(len(ids)), end].float()
    image_local = look(method.image_head, image_tokens, rolled_out(method, image_maps), kept_patches)
    text_local = recall(method.text_head, text_tokens, rolled_out(method, text_maps), ids, end, kept_words)
    return {
        **objective(method.global_objective, image_global, text_global, identity),
        **objective(method.local_objective, image_local.float(), text_local.float(), identity),
    }


def annealed(method: Itself, tokens: int, step: int) -> int:
    """Section 4."""
    rules = method.settings
    duration = int(rules.budget_duration.split()[0])
    if step >= duration:
        return int(tokens * rules.end_ratio)
    return int(tokens * rules.start_ratio * (rules.end_ratio / rules.start_ratio) ** (max(step, 1) / duration))


def see(method: Itself, images: Tensor) -> tuple[Tensor, Tensor]:
    """The image tower: (batch, tokens, embedding), and the maps of all layers (batch, layers, tokens, tokens)."""
    tower = method.vision
    x = tower.patches(images).flatten(2).permute(0, 2, 1)
    x = torch.cat([tower.class_token + torch.zeros(len(x), 1, x.shape[-1]), x], dim=1) + tower.positions
    x, maps = through(tower.transformer, tower.norm_in(x), None)
    return tower.projection(tower.norm_out(x)), maps


def read(method: Itself, ids: Tensor) -> tuple[Tensor, Tensor]:
    """The text tower; as `see`."""
    tower, length = method.text, ids.shape[1]
    hidden = torch.full((length, length), float("-inf")).triu_(1)
    x, maps = through(tower.transformer, tower.tokens(ids) + tower.positions[:length], hidden)
    return tower.projection(tower.norm_out(x)), maps


def through(tower: Transformer, x: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
    """All layers, with tokens first as CLIP's program has them, and the attention of all."""
    x, maps = x.permute(1, 0, 2), []
    for layer in tower.layers:
        assert isinstance(layer, Layer)
        given = layer.norm_attention(x)
        part = layer.attention
        mixed, seen = F.multi_head_attention_forward(
            given,
            given,
            given,
            given.shape[-1],
            part.heads,
            part.project_in.weight,
            part.project_in.bias,
            None,
            None,
            False,
            0.0,
            part.project_out.weight,
            part.project_out.bias,
            need_weights=True,
            attn_mask=hidden,
        )
        assert seen is not None
        maps.append(seen)
        x = x + mixed
        inner = layer.feed_forward.widen(layer.norm_feed_forward(x))
        x = x + layer.feed_forward.narrow(inner * torch.sigmoid(1.702 * inner))
    return x.permute(1, 0, 2), torch.stack(maps, dim=1)


@torch.no_grad()
def rolled_out(method: Itself, maps: Tensor) -> Tensor:
    """Section 2.3: the product of all selected maps, whole, sample by sample. Shape: (batch, tokens, tokens)."""
    size, found = maps.shape[-1], []
    for sample in maps.float():
        whole = torch.eye(size)
        for number in method.settings.selection_layers:
            flat = sample[number - 1].clone().flatten()
            smallest = flat.topk(int(size * size * method.settings.discard), largest=False).indices
            flat[smallest[smallest != 0]] = 0
            added = (flat.view(size, size) + torch.eye(size)) / 2
            whole = (added / added.sum(dim=-1, keepdim=True)) @ whole
        found.append(whole)
    return torch.stack(found)


def unit(x: Tensor) -> Tensor:
    return x / (x.norm(dim=-1, keepdim=True) + 1e-8)


def adapted(head: GrabHead, bank: Tensor) -> Tensor:
    """Section 3.2 before pooling, all rows in one batch norm."""
    adapter = head.adapter
    inner = F.relu(adapter.norm(adapter.inner(bank.flatten(0, 1))))
    return adapter.shortcut(bank) + adapter.outer(inner).view(*bank.shape[:2], -1)


def look(head: GrabHead, tokens: Tensor, scores: Tensor, kept: int) -> Tensor:
    """The local embedding of images (section 3)."""
    best = scores[:, 0, 1:].topk(kept, dim=-1).indices + 1
    bank = unit(tokens.float().gather(1, best[..., None].expand(-1, -1, tokens.shape[-1])))
    return torch.stack([longest(row, len(row)) for row in adapted(head, bank)])


def recall(head: GrabHead, tokens: Tensor, scores: Tensor, ids: Tensor, end: Tensor, kept: int) -> Tensor:
    """The local embedding of captions."""
    rows = scores[torch.arange(len(ids)), end].clone()
    rows.masked_fill_(ids == 0, 0.0)
    rows[:, 0] = -1
    rows[torch.arange(len(ids)), end] = -1
    best = rows.sort(dim=-1, descending=True, stable=True).indices[:, :kept]
    bank = unit(tokens.float().gather(1, best[..., None].expand(-1, -1, tokens.shape[-1])))
    counts = ((ids != 0).sum(dim=1) - 2).clamp(min=1, max=kept)
    return torch.stack([longest(row, int(count)) for row, count in zip(adapted(head, bank), counts, strict=True)])


def longest(z: Tensor, count: int) -> Tensor:
    """The largest value of each channel over the first tokens of one sample."""
    return z[:count].topk(1, dim=0).values.mean(dim=0)


def objective(branch: Objective, image: Tensor, text: Tensor, identity: Tensor) -> dict[str, Tensor]:
    """Section 5 for one branch, in float32."""
    rules, heads = branch.settings, branch.heads
    assert heads is not None
    with torch.autocast("cpu", enabled=False):
        similarity = F.normalize(text, dim=-1) @ F.normalize(image, dim=-1).T
        same = (identity.view(-1, 1) == identity.view(1, -1)).float()
        tal = hinges(similarity, same, rules.temperature, rules.margin)
        tal = tal + hinges(similarity.T, same, rules.temperature, rules.margin)
        pairs, labels = made_pairs(
            similarity.detach().T,
            identity,
            int(mismatch_label(identity, branch.identities, rules.mismatch_class)),
            image,
            text,
        )
        pair = sum(
            F.cross_entropy(heads.pair_classifier(F.gelu(heads.fusion_norm(heads.fusion(both)))), labels)
            for both in pairs
        )
        terms = {
            "tal": tal,
            "cid_pair": pair / 2,
            "id_image": F.cross_entropy(heads.identity_classifier(image), identity),
            "id_text": F.cross_entropy(heads.identity_classifier(text), identity),
        }
    return {f"{name}_{branch.branch}": term for name, term in terms.items()}


def hinges(scores: Tensor, same: Tensor, temperature: float, margin: float) -> Tensor:
    weights = (scores / temperature).exp() * same
    weights = (weights / weights.sum(dim=1, keepdim=True)).detach()
    others = ((scores / temperature).exp() * (1 - same)).sum(dim=1).clamp(max=1e36)
    return (-(weights * scores).sum(dim=1) + temperature * others.log() + margin).clamp(min=0).sum()


def made_pairs(
    similarity: Tensor, identity: Tensor, mismatch: int, image: Tensor, text: Tensor
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """3 B pairs, image first and text first, and their classes; every sample must have a negative in the batch."""
    images, texts, labels = list[Tensor](), list[Tensor](), list[int]()
    for i, person in enumerate(identity.tolist()):
        others = [j for j, other in enumerate(identity.tolist()) if other != person]
        wrong_text = max(others, key=lambda j: float(similarity[i, j]))
        wrong_image = max(others, key=lambda j: float(similarity[j, i]))
        images += [image[i], image[wrong_image], image[i]]
        texts += [text[i], text[i], text[wrong_text]]
        labels += [person, mismatch, mismatch]
    left, right = torch.stack(images), torch.stack(texts)
    return (torch.cat([left, right], dim=1), torch.cat([right, left], dim=1)), torch.tensor(labels)


def optimiser(groups: list[dict[str, Any]], betas: tuple[float, float], epsilon: float) -> torch.optim.Adam:
    """Section 6: one parameter and one operation after the other, as PyTorch does on a CPU unless told otherwise."""
    return torch.optim.Adam(groups, betas=betas, eps=epsilon, foreach=False, fused=False)
