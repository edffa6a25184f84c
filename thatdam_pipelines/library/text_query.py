"""What people type, as full-text expressions: words, "phrases" and -exclusions, never an expression of their own."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from thatdam_pipelines.library.text_documents import FIELDS, NARROWING, fold

_TERM = re.compile(r'(-?)"([^"]*)"?|(\S+)')
_OWN = "{" + " ".join(field for field in FIELDS if field not in NARROWING) + "}"
_LEAST_PREFIX = 2
_STOP_WORDS = {
    *("a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "in", "into", "is", "it", "its", "my", "of"),
    *("on", "or", "our", "some", "that", "the", "their", "there", "this", "to", "was", "were", "where", "which"),
    *("while", "with", "your", "show", "me", "find"),
}


@dataclass(frozen=True)
class Term:
    """One thing that is looked for. ``is_last_word``: still being typed, so it may go on."""

    text: str
    is_phrase: bool = False
    is_last_word: bool = False

    @property
    def has_word(self) -> bool:
        """False for what the word index cannot know: emoji, punctuation."""
        return any(char.isalnum() for char in self.text)

    def expression(self, *, begun: bool = False) -> str:
        """The term in its spellings; with ``begun``, and if it is the last word, also as the beginning of a word."""
        quoted = [_quoted(text) for text in dict.fromkeys([self.text, fold(self.text)])]
        if begun and self.is_last_word and len(self.text) >= _LEAST_PREFIX:
            quoted += [f"{text}*" for text in quoted]
        return quoted[0] if len(quoted) == 1 else f"({' OR '.join(quoted)})"


@dataclass(frozen=True)
class TextQuery:
    """What must be there and what must not."""

    wanted: list[Term]
    unwanted: list[Term]

    @property
    def words(self) -> list[Term]:
        """The wanted terms that say something, or all when none does."""
        known = [term for term in self.wanted if term.has_word]
        telling = [term for term in known if term.is_phrase or term.text.lower() not in _STOP_WORDS]
        return telling or known

    def all_words(self) -> list[str]:
        """Expressions for every word, the stricter first; none when something that is looked for is no word."""
        if not self.words or any(not term.has_word for term in self.wanted):
            return []
        # Only when the whole word finds nothing: wedding, which is stemmed, would else begin Wednesday.
        return list(dict.fromkeys(self._expression(" AND ", begun) for begun in (False, True)))

    def any_word(self) -> str | None:
        """Expression for at least one word of several."""
        return self._expression(" OR ", begun=False) if len(self.words) > 1 else None

    def _expression(self, operator: str, begun: bool) -> str:
        parts = [term.expression(begun=begun) for term in self.words]
        both = f"({operator.join(parts)}) AND {_OWN} : ({' OR '.join(parts)})"
        out = [term.expression() for term in self.unwanted if term.has_word]
        return f"({both}) NOT ({' OR '.join(out)})" if out else both


def parse(text: str) -> TextQuery:
    """What ``text`` asks for. Quotes hold phrases together, a leading ``-`` excludes; anything else is just text."""
    clean = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
    clean = "".join(char if char.isprintable() else " " for char in clean)
    wanted: list[Term] = []
    unwanted: list[Term] = []
    for found in _TERM.finditer(clean):
        minus, phrase, word = found.groups()
        if phrase is not None:
            term = Term(phrase.strip(), is_phrase=True)
            excluded = bool(minus)
        else:
            excluded = word.startswith("-") and any(char.isalnum() for char in word)
            bare = word.lstrip("-") if excluded else word
            term = Term(bare.replace('"', ""), is_last_word=found.end() == len(clean))
        if term.text:
            (unwanted if excluded else wanted).append(term)
    return TextQuery(wanted, unwanted)


def name_parts(terms: Iterable[Term]) -> tuple[str | None, list[str]]:
    """Pieces of names: an expression for the trigram index, and the pieces too short for it."""
    folded = [fold(term.text) for term in terms]
    long = [text for text in folded if len(text) >= 3]
    return " AND ".join(_quoted(text) for text in long) or None, [text for text in folded if len(text) < 3]


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
