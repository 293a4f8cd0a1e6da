"""The gallery of `pickout serve --demo`: drawn people, kept for the next time."""

import sys
from pathlib import Path


def demo_gallery(folder: Path, device: str) -> Path:
    """Draw people below `folder`, index and calibrate them with the model that comes with Pickout; the gallery."""
    from pickout.cli.model import default_model, load_model
    from pickout.cli.terminal import progress, say
    from pickout.gallery.gallery import Gallery
    from pickout.serve.sample import add_sample

    target, done = folder / "demo.gallery", folder / "done"
    if done.exists():
        return target
    say(f"drawing people to try the page on, once; they are kept in {folder}", err=True)
    place = default_model()
    gallery = Gallery.create(target, load_model(place, device), run=place)
    told: list[tuple[str, int]] = []

    def tell(what: str, at: int, total: int) -> None:
        show(at, total, what=what)
        quarter = what, 4 * at // max(total, 1)
        if not sys.stderr.isatty() and quarter not in told:  # a log shows no bar
            told.append(quarter)
            say(f"{what}: {at} of {total}", err=True)

    with progress("drawn people", quiet=False) as show:
        add_sample(gallery, folder, tell)
    done.touch()
    return target
