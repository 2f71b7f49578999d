"""Notes: what is known of the recorded step of a training, for who asks."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Notes:
    """Of the recorded step that was used last.

    Attributes:
        code: it as Python; empty where the step is not recorded.
        why_not: why it is not, in words that go on after "because"; empty where it is.
        checked: the texts that were seen to do what the step does.
        said: whether somebody was told.
    """

    code: str = ""
    why_not: str = ""
    checked: set[int] = field(default_factory=set)
    said: bool = False
