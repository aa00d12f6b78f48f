"""Seeded generator of hostile file names: control characters, markup, look-alikes, limits."""

import os
import random

MAX_BYTES = 255
PIECES = [
    *(bytes([code]) for code in (*range(1, 32), 127)),
    *(
        character.encode()
        for character in "\u0085\u200b\u200d\u200e\u202a\u202e\u2028\u2066\ufeff\ufffe\ufdd0\xa0\u3000"
    ),
    *("é e\u0301 疫苗 ü א ع \U0001f489 \U0001f469\u200d\U0001f52c ｆ １ ． ⁄ ∕ ： ＃".encode().split()),
    *rb"% %% %2F %00 %0A %zz %c0%af \ \n \u202e ; ? # & = + : * ' ` ~ ^ | $(id) ${HOME} {a,b} [x] !".split(),
    *b"#LATEST #LATEST{2} #LATEST{99999} {{dag}} {{7*7}} {%raw%} <script> <img-src=x-onerror=x>".split(),
    *b"[a](x) ![a](x) **b** | @ann www.example.org http:-- =1+1 -rf --help .. ...".split(),
    *b"20261124T230825.123Z- 20269924T230825.123Z- 00000000T000000.000Z- 99999999T999999.999Z-".split(),
    *b".csv .CSV .gz .part .tmp ._COPYING_ _ . - .uploading- CON NUL null None nan x june".split(),
    *(b" ", b"  ", b'"', b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf0\x9f"),
]


def hostile_names(count: int, seed: int = 24) -> list[str]:
    """Return different names of at most MAX_BYTES bytes. Bytes that are not UTF-8 are surrogates."""
    draw, names = random.Random(seed), {}
    while len(names) < count:
        name = b"".join(draw.choices(PIECES, k=draw.choice([1, 2, 3, 5, 8])))
        if draw.random() < 0.1:  # as long as possible
            name = (name * MAX_BYTES)[: draw.choice([MAX_BYTES - 1, MAX_BYTES])]
        if 0 < len(name) <= MAX_BYTES and b"/" not in name and name not in (b".", b".."):
            names[os.fsdecode(name)] = None
    return list(names)
