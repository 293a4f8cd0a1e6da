"""What a setting contributes: variants of a recipe, trained from several seeds and held against each other."""
