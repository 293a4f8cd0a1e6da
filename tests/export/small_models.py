"""Small models of every method, with random weights."""

import torch

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.checkpoints.weight_file import KeyReport
from pickout.methods.model import build_model
from pickout.text.build import train_tokenizer
from pickout.train.recipe import find_recipe, load_recipe

RECIPES = {"itself": "demo", "fusion": "aga-demo", "aga": "aga-demo", "dual": "demo"}


def small_model(name: str, seed: int = 0) -> LoadedModel:
    torch.manual_seed(seed)
    settings = load_recipe(find_recipe(RECIPES[name])).model
    if settings.method["name"] != name:
        settings = settings.model_copy(update={"method": {"name": name}})
    tokenizer = train_tokenizer(["a woman in a teal jacket"], context=settings.tokenizer.context)
    method = build_model(settings, tokenizer, 0)
    return LoadedModel(
        name=name,
        method=method,
        tokenizer=tokenizer,
        settings=settings,
        identities=0,
        report=KeyReport(name, "random weights"),
        precision="fp32",
    )
