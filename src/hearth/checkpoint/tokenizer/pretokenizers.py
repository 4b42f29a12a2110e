"""How byte-level BPE vocabularies cut a text into words before merging: the table behind `tokenizer.ggml.pre`.

The expressions are those of the models' own tokenizer.json files; the names, and which of them skip merges for words
that are in the vocabulary or put a BOS first, are llama.cpp's (src/llama-vocab.cpp, 2026). Syntax: Oniguruma.
"""

from __future__ import annotations

from typing import NamedTuple


class PreTokenizer(NamedTuple):
    """Expressions applied one after the other: each cuts what the one before left into its matches and the gaps.

    Attributes:
        expressions: in order.
        ignore_merges: a word that is in the vocabulary is taken as it is.
        add_bos: a text begins with BOS where the file does not say.
    """

    expressions: tuple[str, ...]
    ignore_merges: bool = False
    add_bos: bool = False


_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_OTHER = r" ?[^\s\p{L}\p{N}]+[\r\n]*"

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_CONTRACTIONS}|{_LETTERS}|\p{{N}}{{1,3}}|{_OTHER}|{_SPACES}"
_QWEN2 = rf"{_CONTRACTIONS}|{_LETTERS}|\p{{N}}|{_OTHER}|{_SPACES}"
_QWEN35 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}"
)
_BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"

# Words of one capitalisation: GPT-4o and what follows it.
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_LEAD = r"[^\r\n\p{L}\p{N}]?"
_GPT4O_OTHER = r" ?[^\s\p{L}\p{N}]+[\r\n/]*"
_GPT4O_WORD = rf"{_LEAD}{_UPPER}*{_LOWER}+{_CONTRACTIONS}?|{_LEAD}{_UPPER}+{_LOWER}*{_CONTRACTIONS}?"
_GPT4O = rf"{_GPT4O_WORD}|\p{{N}}{{1,3}}|{_GPT4O_OTHER}|{_SPACES}"
_TEKKEN = rf"{_LEAD}{_UPPER}*{_LOWER}+|{_LEAD}{_UPPER}+{_LOWER}*|\p{{N}}|{_GPT4O_OTHER}|{_SPACES}"

# Kimi: as GPT-4o, with runs of Han characters as words of their own.
_UPPER_NO_HAN = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
_LOWER_NO_HAN = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
_KIMI = (
    rf"[\p{{Han}}]+|{_LEAD}{_UPPER_NO_HAN}*{_LOWER_NO_HAN}+{_CONTRACTIONS}?"
    rf"|{_LEAD}{_UPPER_NO_HAN}+{_LOWER_NO_HAN}*{_CONTRACTIONS}?|\p{{N}}{{1,3}}|{_OTHER}|{_SPACES}"
)

_CJK = r"[一-龥ࠀ-一가-퟿]+"
_CJK_KANA = r"[一-龥぀-ゟ゠-ヿ]+"
_ASCII_PUNCTUATION = r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"
_PUNCTUATED_WORDS = rf"{_ASCII_PUNCTUATION}[A-Za-z]+|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+"
# Escaped, since editors turn some of these letters into others that look the same.
_CASED_LETTERS = (
    "A-Za-z\xb5\xc0-\xd6\xd8-\xf6\xf8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377"
    "\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f"
    "\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"
    "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d"
    "\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb"
    "\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128"
    "\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4"
    "\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf"
    "\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
    "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943"
)

_DEEPSEEK_LLM = (r"[\r\n]", rf"\s?[{_CASED_LETTERS}]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", _CJK, r"\p{N}+")
_DEEPSEEK_CODER = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _CJK, r"\p{N}")
_DEEPSEEK_V3 = (r"\p{N}{1,3}", _CJK_KANA, rf"{_PUNCTUATED_WORDS}| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}")
_YOUTU = (
    rf"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|{_CJK_KANA}",
    rf"{_GPT4O_WORD}|\p{{N}}|{_GPT4O_OTHER}|{_SPACES}",
)
_CASCADING_SPACES = "|".join(
    rf"\s{{{count}}}(?!\S)" for count in ("512", "256", "128", "64", "32", "16", "8", "4", "1,2")
)
_JAIS2 = rf"{_CONTRACTIONS}|{_LETTERS}|\p{{N}}{{1,3}}|{_OTHER}|\s*[\r\n]+|{_CASCADING_SPACES}|\s{{1}}"

_BAILING = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"

# Digits in threes from the right.
_AFMOE_DIGITS = r"\p{N}{1,3}?(?=(?:\p{N}{3})*(?!\p{N}))"
_AFMOE_ASIAN = r"[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+"
_EXAONE_MOE = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
)
_SPARK = (
    r"\p{N}{1,3}",
    _CJK_KANA,
    rf"{_PUNCTUATED_WORDS}| ?[\p{{P}}\p{{S}}]+|[\r\n]|\s+(?!\S)|\s+",
    r"\p{N}",
)
_CHAMELEON = (
    r"<sentinel:[0-9]+>",
    r"(?:IMGIMG)(?:(?:A|B|C|D|E|F|G|H|I){1,4})Z",
    r"[\t\n]|    |  ",
    r"\p{N}",
    r"[\p{P}!-/:-@\[-`{-~]",
    _GPT2,
)

_DEFAULT = PreTokenizer((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"))
_DIGITS_GPT2 = PreTokenizer((r"\p{N}", _GPT2))

_GROUPS: tuple[tuple[PreTokenizer, str], ...] = (
    (_DEFAULT, "default"),
    (
        PreTokenizer((_LLAMA3,), ignore_merges=True, add_bos=True),
        "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2",
    ),
    (PreTokenizer((_LLAMA3,)), "dbrx smaug-bpe chatglm-bpe"),
    (PreTokenizer((_LLAMA3,), ignore_merges=True), "glm4 glm5"),
    (PreTokenizer((_JAIS2,)), "jais-2"),
    (
        PreTokenizer((_GPT2,)),
        "gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert mpt olmo jais trillion "
        "granite-docling exaone4 jina-v1-en jina-v2-code roberta-bpe",
    ),
    (_DIGITS_GPT2, "starcoder refact command-r smollm codeshell exaone minerva-7b mellum2"),
    (PreTokenizer((_QWEN2,)), "qwen2 deepseek-r1-qwen kormo f2llmv2 stablelm2 megrez hunyuan solar-open grok-2"),
    (PreTokenizer((_QWEN35,)), "qwen35"),
    (PreTokenizer((rf"{_LETTERS}|\p{{N}}|{_OTHER}|{_SPACES}",)), "ufakzeka"),
    (PreTokenizer(_DEEPSEEK_LLM), "deepseek-llm"),
    (PreTokenizer(_DEEPSEEK_CODER), "deepseek-coder"),
    (PreTokenizer(_DEEPSEEK_V3), "deepseek-v3 hunyuan-dense joyai-llm hy_v4"),
    (PreTokenizer(_YOUTU, ignore_merges=True), "youtu"),
    (PreTokenizer((r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, r"[0-9][0-9][0-9]")), "falcon"),
    (PreTokenizer((_BLOOM,)), "poro-chat bloom gpt3-finnish"),
    (PreTokenizer((_BLOOM, r"\p{N}")), "viking"),
    (PreTokenizer((_TEKKEN,), ignore_merges=True, add_bos=True), "tekken"),
    (PreTokenizer((_GPT4O,), ignore_merges=True), "granite-embed-multi-97m"),
    (PreTokenizer((_AFMOE_DIGITS, _AFMOE_ASIAN, _DEEPSEEK_V3[2])), "afmoe"),
    (PreTokenizer((_EXAONE_MOE,)), "exaone-moe"),
    (PreTokenizer(_SPARK), "spark2_5"),
    (PreTokenizer(_CHAMELEON), "chameleon"),
    (PreTokenizer((_GPT4O,)), "gpt-4o llama4 kanana2 talkie minimax-m2"),
    (PreTokenizer((r"\d{1,3}(?=(?:\d{3})*\b)", _GPT4O)), "tiny_aya cohere2moe"),
    (PreTokenizer((_KIMI,)), "kimi-k2"),
    (PreTokenizer((r"\p{N}+", r"(?=(\d{3})+(?!\d))")), "superbpe"),
    (
        PreTokenizer((_BAILING,)),
        "bailingmoe bailingmoe2 llada-moe",
    ),
    (PreTokenizer((rf"{_CONTRACTIONS}|{_LETTERS}|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_SPACES}",)), "seed-coder"),
    (PreTokenizer((r"[^\n]+|[\n]+", _QWEN2)), "laguna"),
    (
        PreTokenizer((r"\p{N}{1,3}", rf"{_CONTRACTIONS}|{_LETTERS}|\p{{N}}+|{_OTHER}|{_SPACES}"), ignore_merges=True),
        "minicpm5",
    ),
)

PRE_TOKENIZERS: dict[str, PreTokenizer] = {name: pre for pre, names in _GROUPS for name in names.split()}
"""By the value of `tokenizer.ggml.pre`."""

SPACES_ESCAPED = frozenset({"gemma4", "granite-embed-multi-311m", "sarvam-moe"})
"""Values of `tokenizer.ggml.pre` that say the vocabulary is of SentencePiece's kind: letters are not spelled byte by
byte, and a space is U+2581."""

LLAMA3 = PRE_TOKENIZERS["llama-bpe"]
