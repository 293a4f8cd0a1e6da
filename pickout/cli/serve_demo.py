"""The gallery of `pickout serve --demo`: drawn people, kept for the next time."""

from pathlib import Path


def demo_gallery(folder: Path, device: str) -> Path:
    """Draw people below `folder`, index and calibrate them with the model that comes with Pickout; the gallery."""
    from pickout.cli.model import default_model, load_model
    from pickout.cli.terminal import progress
    from pickout.gallery.gallery import Gallery
    from pickout.serve.sample import add_sample

    target, done = folder / "demo.gallery", folder / "done"
    if done.exists():
        return target
    place = default_model()
    gallery = Gallery.create(target, load_model(place, device), run=place)
    with progress("drawn people", quiet=False) as show:
        add_sample(gallery, folder, lambda what, done, total: show(done, total, what=what))
    done.touch()
    return target
