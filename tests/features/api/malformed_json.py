"""What looks like JSON, and is none: every shortened document, and the classes of https://github.com/nst/JSONTestSuite."""

GOOD = b'{"title": "On \\u00fcml\\"auts", "pages": 120, "price": 1.5e1}'

_TEXTS = """
nope|None|True|undefined|nul|truefalse|'title'|title|{title: "a"}|{'title': 'a'}|{"title": 'a'}|{"title": a}|{"title"}
{"title": "a",}|{,"title": "a"}|{"title": "a",,"pages": 1}|{"title" "a"}|{"title":: "a"}|{"title": "a" "pages": 1}
{"title": "a"}}|{"title": "a"} {"title": "a"}|{"title": "a"}]|{"title": "a"}x|{"title": "a"};|{"title": "a"}#
{"title": "a"} // no|{"title": "a"} /* no */|/* no */ {"title": "a"}|# no {"title": "a"}|<book/>|title=a|--- title: a
{"title": ["a"}|{"title": {"a"}|["a"|["a",]|[,"a"]|["a" "b"]|[1:2]|[|{|]|}|[}|{]|{{|"|"a|a"|"a"b"|"\\"|'
{"pages": 01}|{"pages": +1}|{"pages": .5}|{"pages": 1.}|{"pages": 1e}|{"pages": 1e+}|{"pages": 1.e1}|{"pages": -}
{"pages": --1}|{"pages": -01}|{"pages": 0x1f}|{"pages": 0b1}|{"pages": 1_000}|{"pages": 1 000}|{"pages": 1,000}
{"pages": 1L}|{"pages": 1/2}|{"pages": ١}|{"pages": １}|{"pages": ½}|{"pages": ∞}|{"pages": -foo}|{"pages": 1a}
{"title": "\\x41"}|{"title": "\\u00"}|{"title": "\\u00zz"}|{"title": "\\'"}|{"title": "\\a"}|{"title": "\\0"}
{"title": "\\U0001F600"}|{"title": "\\u{1F600}"}|{"title": "\\\t"}|{"title": "a\tb"}|{\u00a0"title": "a"}
{\u2028"title": "a"}|{"title": “a”}|{"title": `a`}|{"title": r"a"}|{"title": b"a"}|*|$|{"title": "a"}\x0c|\x0b{}
{"pages": NaN}|{"pages": nan}|{"pages": -NaN}|{"pages": Infinity}|{"pages": -Infinity}|{"pages": inf}|[NaN]|NaN
{"price": 1e999}|{"price": -1e999}|{"price": 1e99999999999999999999}|-Infinity|[1e400]|{"NaN": NaN}
{"title": "a", "title": "b"}|{"title": "a", "\\u0074itle": "b"}|{"a": {"b": 1, "b": 1}}|[{"a": 1, "a": 1}]
"""
_BYTES = [
    b"", b" ", b"\r\n\t ", b"\0", b"{}\0", b'{"title": "a\0"}', b'{"title": "a\x1f"}', b'{"title": "a\nb"}',
    b"\xef\xbb\xbf" + GOOD, b"\xef\xbb\xbf", b"\xef\xbb" + GOOD, GOOD.decode().encode("utf-16"),
    GOOD.decode().encode("utf-16-le"), GOOD.decode().encode("utf-32"), b'{"title": "\xff"}', b'{"title": "\xfc"}',
    b'{"title": "\xc0\xaf"}', b'{"title": "\xed\xa0\x80"}', b'{"title": "\xf4\x90\x80\x80"}', b'{"title": "\xe2\x82"}',
    b"\xff\xfe", b"\x80", b"\x1f\x8b\x08\x00", b"[" * 100_000, b"]" * 100_000, b'{"a":' * 50_000, b"[{" * 50_000,
    b"[" * 50_000 + b"]" * 50_000, b'{"a":' * 21 + b"1" + b"}" * 21, b'{"pages": ' + b"9" * 5000 + b"}",
    b"-" + b"1" * 5000, b'"' * 99_999, b'"' + b"\\" * 100_001, b'{"title":' + b" " * 100_000,
]  # fmt: skip


def malformed() -> list[bytes]:
    shortened = [GOOD[:end] for end in range(1, len(GOOD))]
    places = 0, 1, 8, 9, 10, len(GOOD) - 1, len(GOOD)
    disturbed = [GOOD[:at] + mark.encode() + GOOD[at:] for at in places for mark in "{}[],:'-x"]
    texts = [text.encode() for line in _TEXTS.strip("\n").split("\n") for text in line.split("|")]
    return [*shortened, *disturbed, *texts, *_BYTES]
