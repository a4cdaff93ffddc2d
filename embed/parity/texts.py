"""The 200 texts whose tokens must be identical."""

import random

HANDWRITTEN = [
    "", " ", "   \t\n  ", "\u00a0", "\u3000", "a", "A", "I", "?", "!!!", "...", "…", "-", "--", "—", "'", "\"", "`", "``quoted''",
    "a photo of a cat", "A Photo Of A CAT", "a  photo   of\ta\ncat", " a photo of a cat ", "a photo of a cat.", "a photo of a cat!!",
    "two dogs playing in the snow", "the quick brown fox jumps over the lazy dog", "It's a dog's life, isn't it?",
    "don't can't won't we've I'm you'll he'd they're", "DON'T CAN'T WE'VE I'M", "don’t can’t we’ve", "rock 'n' roll 's 't",
    "1234567890", "3.14159", "1,000,000", "20 000 leagues", "x2 3y z4", "№ 5 ½ ¾ ² ³", "Ⅳ ⅷ ①②③", "٠١٢٣٤", "१२३",
    "😀", "😀😀😀", "🐱🐶🦊", "a 🐱 on a 🛋️", "👩‍🔬 at work", "👨‍👩‍👧‍👦 family", "👍🏽👍🏿", "🇩🇪 🇯🇵 🇧🇷", "❤️ ♥ ❤", "🏳️‍🌈 🏴‍☠️", "#️⃣ *️⃣ 1️⃣", "🫠🪿🩷", "⚠️☢️☣️", "(╯°□°)╯︵ ┻━┻", "¯\\_(ツ)_/¯",
    "猫", "一只可爱的猫", "照片里有两只狗在雪地里玩", "日本語のテキスト", "カタカナとひらがな", "ﾊﾝｶｸ ｶﾀｶﾅ", "한국어 텍스트", "한국어", "中文 and English 混合 text", "𠮷野家 𪚥", "，。！？「」", "㍿ ㎏ ℃",
    "café", "cafe\u0301", "naïve façade", "Ångström", "A\u030angstro\u0308m", "Straße STRASSE ẞ", "İstanbul ıspanak", "Žluťoučký kůň", "crème brûlée", "El Niño", "Übergrößenträger", "œuvre Œuvre æsir ÆSIR", "ﬁ ﬂ ﬃ", "ǅ ǆ Ǆ", "ñ n\u0303", "e\u0323\u0302 ệ", "Z͑ͫ̓a̴l̵g̶o̷", "q\u0307\u0323",
    "Привет, мир", "ПРИВЕТ МИР", "Ёжик в тумане", "Γειά σου Κόσμε ΣΊΣΥΦΟΣ", "שלום עולם", "שָׁלוֹם", "مرحبا بالعالم", "مَرْحَبًا", "سلام دنیا", "नमस्ते दुनिया", "สวัสดีชาวโลก", "xin chào thế giới", "გამარჯობა", "Բարեւ", "ສະບາຍດີ", "\u202bעברית\u202c in English", "\u200fRTL mark", "\u2066isolate\u2069",
    "&amp;", "fish &amp; chips", "&lt;b&gt;bold&lt;/b&gt;", "&quot;quoted&quot; &#39;single&#39;", "&nbsp;space", "&amp;amp;", "&#x1F600; &#128512;", "&copy; 2024", "<b>bold</b>", "<br/>", "R&D AT&T", "a & b",
    "<|startoftext|>", "<|endoftext|>", "a <|endoftext|> b", "<|startoftext|> hello <|endoftext|>", "<|ENDOFTEXT|>", "[CLS]", "[SEP] text", "a [MASK] b", "[PAD][UNK]", "[cls] [sep]", "</w>", "##ing", "cat</w>",
    "null\x00byte", "\x00", "bell\x07 escape\x1b", "\x7f delete", "zero\u200bwidth", "zero\u200cwidth\u200djoiner", "soft\u00adhyphen", "\ufeffbyte order mark", "line\u2028separator\u2029", "\x0b\x0c vertical", "carriage\r\nreturn", "next\u0085line", "\ufffd replacement", "\ufffe\uffff", "private \ue000 use", "\U000f0000", "tag \U000e0041\U000e007f",
    "https://example.org/path?x=1&y=2#top", "user@example.org", "C:\\Windows\\System32", "/usr/local/bin", "snake_case camelCase PascalCase kebab-case", "foo(bar)[baz]{qux}", "a+b=c; a!=b || c&&d", "$100 €50 £20 ¥3000 ₹10 ₿", "50% off", "C++ C# F# .NET", "@user #hashtag", "$x^2 + y_1$", "—“quoted”—", "‘single’", "•bullet ‣ ◦", "→←↑↓ ⇒", "∀x∈ℝ: x²≥0", "½ cup", "5′10″", "™®©", "🄰🄱 𝐁𝐨𝐥𝐝 𝒮𝒸𝓇𝒾𝓅𝓉", "ＦＵＬＬｗｉｄｔｈ",
    "supercalifragilisticexpialidocious", "pneumonoultramicroscopicsilicovolcanoconiosis", "Donaudampfschifffahrtsgesellschaftskapitän", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "hahahahahahahaha", "zzzzzzzz", "asdfghjkl qwertyuiop",
]

OVERLONG = [
    "a photo of a cat " * 40, "word " * 74, "word " * 75, "word " * 76, "word " * 509, "word " * 510, "word " * 511, "word " * 512,
    "猫" * 90, "😀" * 90, "x" * 99, "x" * 100, "x" * 101, "x" * 3000, "a.b!c?" * 60, "é" * 200, "e\u0301" * 200, " " * 5000, "1" * 300,
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife. " * 6,
]


def texts():
    """Exactly 200: those above, and others drawn from mixed alphabets with a fixed seed."""
    rng = random.Random(20240607)
    alphabets = ["abcdefghij   ", "ABCdef'’ \t", "0123456789.,- ", "äöüßéèñç ", "猫狗日本語한 ", "😀🐱👍🏽❤️\u200d ", "<|>&;#[]@$%^* ", "\u0300\u0301\u0323eaou ", "абвгд ЁЖ", "אבגדה ابتث"]
    chosen = HANDWRITTEN + OVERLONG
    while len(chosen) < 200:
        alphabet = "".join(rng.sample(alphabets, 2))
        chosen.append("".join(rng.choice(alphabet) for _ in range(rng.randint(1, 60))))
    assert len(chosen) == 200 and len(set(chosen)) == 200, (len(chosen), len(set(chosen)))
    return chosen
