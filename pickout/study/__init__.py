"""What a setting contributes: a base recipe, variants of it and seeds; trained, held against each other, written down."""
