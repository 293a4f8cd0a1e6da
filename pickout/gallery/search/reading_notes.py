"""What must be said beside an answer: words that the model does not know, and what it did not read."""

from pickout.gallery.encoder import Encoder, Reading
from pickout.gallery.search.query import Query

_FOREIGN = 0.5
"""Share of letters in foreign words from which the script is told to be unknown."""
_STRANGE = 0.5
"""Share of unknown words from which the language is told to be unknown."""
_NAMED = 5


def reading_notes(query: Query, encoder: Encoder) -> list[str]:
    """One note for each sentence that the model cannot read as it stands; none where it cannot tell."""
    if not isinstance(encoder, Reading):
        return []
    return [note for text in (*query.texts, *query.without) if (note := _note(text, encoder))]


def _note(text: str, encoder: Reading) -> str | None:
    found = encoder.familiarity(text)
    shown = text if len(text) <= 60 else text[:57] + "..."
    if found.foreign >= _FOREIGN or found.words == 0:
        return f"'{shown}' is in a script that the model does not know; the ranking is little better than chance."
    if found.strange >= _STRANGE:
        return f"'{shown}' is hardly in words that the model knows; name clothes and things plainly, in English."
    told = []
    if found.unknown:
        named = ", ".join(found.unknown[:_NAMED])
        more = f" and {len(found.unknown) - _NAMED} more" if len(found.unknown) > _NAMED else ""
        told.append(f"The model hardly knows: {named}{more}.")
    if found.cut:
        told.append(f"The model read the first {found.words - found.cut} of {found.words} words of '{shown}'.")
    return " ".join(told) or None
