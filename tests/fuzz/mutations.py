"""Ways to damage bytes, drawn from a seeded generator."""

import struct

import numpy as np

WORDS = (
    b"-1", b"0", b"1e308", b"-inf", b"nan", b"2147483647", b"99999999999999999999", b"1,5", b"9" * 400, b"", b"null",
    b"true", b"[]", b"{}", b'"\\ud800"', b"[" * 2000, b"\xef\xbb\xbf", b"\0", b"/nowhere", b"\x1b[31m",
)  # fmt: skip
NUMBERS = tuple(
    struct.pack(order + form, value)
    for order in "<>"
    for form, values in {
        "h": (0, -1, 32767, -32768, 8), "i": (0, -1, 2**31 - 1, -(2**31)), "q": (-1, 2**62), "f": (0.0, -1.0, 1e30),
        "d": (1e300,),
    }.items()
    for value in values
) + tuple(struct.pack("<f", value) for value in (np.inf, -np.inf, np.nan))  # fmt: skip
HEADER = 600  # bytes, in which most of the damage is done


def mutate(content: bytes, random: np.random.Generator, is_text: bool) -> bytes:
    """Returns `content` damaged in one to three ways."""
    for _ in range(random.integers(1, 4)):
        content = _mutate_once(content, random, is_text)
    return content


def _mutate_once(content: bytes, random: np.random.Generator, is_text: bool) -> bytes:
    if not content:
        return content
    place = int(random.integers(len(content) if random.random() < 0.2 else min(len(content), HEADER)))
    end = min(place + int(random.integers(1, 9)), len(content))
    kind = random.integers(8)
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[:place] + content[end:]
    if kind == 2:
        return content[:place] + content[place:end] * int(random.integers(2, 5)) + content[end:]
    if kind == 3:
        return content[:place] + bytes([content[place] ^ (1 << int(random.integers(8)))]) + content[place + 1 :]
    if is_text or kind == 4:
        return _replace_word(content, random)
    if kind == 5:
        return content[:place] + random.bytes(end - place) + content[end:]
    number = NUMBERS[random.integers(len(NUMBERS))]
    place -= place % (2 if kind == 6 else 1)
    return content[:place] + number + content[place + len(number) :]


def _replace_word(content: bytes, random: np.random.Generator) -> bytes:
    """Puts an odd word in the place of one of the words of the first few thousand bytes."""
    head, rest = content[:4000], content[4000:]
    words = head.split(b" ")
    words[random.integers(len(words))] = WORDS[random.integers(len(WORDS))]
    return b" ".join(words) + rest
