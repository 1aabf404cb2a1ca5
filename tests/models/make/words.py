# SPDX-License-Identifier: Apache-2.0
"""The word list, the sentences and the tokenizer texts of the tiny text models."""

WORDS = """
the a an and or not but of to in on at by for with from into over under after before between through about against
is are was were be been being have has had do does did will would can could may might must shall should
i you he she it we they me him her us them my your his its our their this that these those who what which when where why how
all any both each few more most other some such no nor only own same so than too very just now then here there again once
hello world people man woman child children friend family mother father brother sister teacher student doctor
house home door window room table chair bed kitchen garden street city village country river sea lake mountain hill forest
tree leaf flower grass sun moon star sky cloud rain snow wind storm fire water earth stone sand gold silver iron
day night morning evening week month year hour minute second time spring summer autumn winter today tomorrow yesterday
dog cat horse cow bird fish sheep mouse lion bear wolf fox apple bread milk tea coffee sugar salt rice soup cake
red green blue black white yellow brown big small large little long short high low old young new good bad better best great
hot cold warm cool dry wet fast slow hard soft light dark heavy full empty open closed happy sad angry kind quiet loud
go come walk run sit stand sleep eat drink see look hear listen speak say tell ask answer read write learn teach know think
make take give get put find lose keep hold bring send carry build break cut draw play sing dance work rest help love like want need
one two three four five six seven eight nine ten hundred thousand million first last next left right up down back out off
word letter book page story song picture music number name line point part side end start way place thing idea question
model machine system computer memory process file data server client network kernel driver token vector layer weight tensor
open load store serve share install register infer request answer queue batch thread core cache page lock test check
price money market shop store street car train plane ship boat road bridge ticket travel journey visit stay leave arrive
king queen war peace law court state power party leader vote free people nation land border army
art film paint color shape form size round square circle line straight curve surface corner edge
health food body head face eye ear nose mouth hand arm leg foot heart blood bone skin hair
science theory proof result measure count figure degree energy force speed distance mass field wave cell gene
""".split()

SUFFIXES = "s es ed er ers est ing ings ly ness less ful able al ion ions ment ity ism ist y th st nd rd ll re ve un ight ound ation tion".split()

# Only what lower-casing and accent stripping leave over, plus scripts that BERT splits into single characters.
SINGLE = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + list("0123456789") + list("abcdefghijklmnopqrstuvwxyz") + list(
    "£€§°²×÷–—‘’“”…ßæøłδαβπωдаеиноррст中国日本人大一二三东京語漢字かなカナ한국어שלוםسلامनमस्ते🙂™½")

SENTENCES = [
    "The cat sits on the table.",
    "A small cat is sitting on a table in the kitchen.",
    "The dog runs through the garden after the rain.",
    "We install a model, register it and ask it a question.",
    "hello world",
    "Hello, world! How are you today?",
    "Snow fell on the mountain last night",
    "42",
    "The machine loads the weights of the model from the file into memory before it answers the first request of the day.",
    "",
]

TEXTS = [
    "", " ", "\t\n", "hello", "Hello", "HELLO", "hello world", "  hello   world  ", "hello\tworld\nagain\r\nand again",
    "hello, world!", "hello,world", "don't stop", "it's they're we've you'll I'm", "a.b.c", "...", "?!?!", "(((hello)))", "--", "-hello-", "e-mail",
    "user@example.com", "https://example.com/a/b?c=d&e=f#g", "C:\\path\\file.txt", "/usr/local/lib", "$100.00", "100%", "#1", "1,234,567.89", "3.14159",
    "2024-06-01T12:34:56Z", "1st 2nd 3rd 4th", "v1.2.3-rc4+build5", "x=y+z", "a<b>c", "[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "hello [MASK] world", "hello[SEP]world",
    "[cls] [sep]", "[ MASK ]", "the [MASK] sat on the [MASK].", "unaffable", "lovingly", "kindness", "teachers", "warmest", "learnings", "zzzz", "qwertyuiop", "supercalifragilistic",
    "café", "cafe\u0301", "CAFÉ", "naïve résumé", "Ångström", "Zürich", "São Paulo", "Łódź", "Škoda", "İstanbul", "ISTANBUL", "ıi", "ﬁne ﬂow", "ß STRASSE straße", "Œuvre œuvre", "Ærø", "ǅ",
    "ñandú", "Đà Nẵng", "Việt Nam", "e\u0301\u0327", "a\u0300\u0301\u0302", "\u0301", "\u0301hello", "Ａｂｃ", "１２３", "①②③", "x²", "½ cup", "™ ® ©", "H₂O", "µm Ω K", "№ 5",
    "中国", "中国人", "日本語", "東京 tower", "漢字かなカナ", "hello中国world", "カタカナ", "ひらがな", "ガ", "か\u3099", "한국어", "한국어 hello", "안녕하세요", "𠀀𠀁", "\U0002b920", "㐀", "豈", "你好,世界!", "你好，世界！", "「日本」", "。、",
    "Привет", "привет, мир!", "Ёлка", "й", "и\u0306", "Αθήνα", "αβγδ", "ΣΊΣΥΦΟΣ", "שלום", "שָׁלוֹם", "سلام", "مَرْحَبًا", "नमस्ते", "ไทย", "ქართული", "Հայերեն", "አማርኛ", "ᎣᏏᏲ",
    "🙂", "hello🙂world", "🙂🙂", "👨‍👩‍👧‍👦", "👍🏽", "🇩🇪", "❤️", "☺", "→ ← ↑", "∑∫√∞", "≤≥≠", "♠♣♥♦", "\u200bhello", "hel\u200blo", "\u200d", "\ufeffhello", "hello\u00a0world", "hello\u2003world", "hello\u3000world", "hello\u2028world",
    "soft\u00adhyphen", "\u0000", "hel\u0000lo", "\u0001\u0002", "bell\u0007", "esc\u001b[0m", "del\u007f", "\u0080\u0085", "\ufffd", "hello\ufffdworld", "\ue000", "\U000f0000", "\ufdd0", "\u202ehello", "\u061c", "\u2066x\u2069", "\u180e", "\u1680x",
    "“quoted”", "‘single’", "it’s", "dash – dash — dash", "ellipsis…", "¿Qué?", "¡Hola!", "«bonjour»", "‹x›", "„low“", "·", "•item", "†", "‰", "₹100", "€5", "£7", "¥9", "¢", "^_^", "`code`", "~tilde~", "|pipe|", "a_b_c", "__init__", "snake_case", "camelCase", "{json: true}",
    "a" * 99, "a" * 100, "a" * 101, "a" * 200, "é" * 100, "中" * 60, "hello" * 30, "hello " * 40, "." * 70, "ab" * 50, "🙂" * 101, "x" * 100 + " y", "un" * 51,
]


def texts():
    """The hand-picked texts, the sentences, and pieces of both glued together."""
    mixed = []
    for i in range(0, len(TEXTS) - 7, 5):
        mixed.append(TEXTS[i] + TEXTS[i + 3])
        mixed.append(TEXTS[i + 1] + " " + TEXTS[i + 6])
    seen = {}
    for text in TEXTS + SENTENCES + mixed:
        seen.setdefault(text)
    return list(seen)
