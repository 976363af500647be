"""Generated datasets: no files, no network. A generator has the signature of a reader, so a card can name it.

The result depends on the options alone: a private random generator is seeded with ``seed``, and ``version``
pins the code. A card that names a version this code no longer generates is refused rather than answered
with other data.
"""

from __future__ import annotations
