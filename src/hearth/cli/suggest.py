"""What somebody may have meant: verbs and options that are misspelt, or known from other programs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from hearth.errors import did_you_mean
from hearth.hub.names import STARTER
from hearth.hub.packaged import PACKAGED

_CLOSE = 0.6

# Verbs of other programs -> what to do here.
FOREIGN_VERBS = {
    "stop": "Ctrl-C in its terminal, or `kill PID` with the PID that `hearth ps` shows",
    "create": "the settings of `hearth chat --help` (--system, --temperature, ...)",
    "cp": "the model's own name; there are no copies to make",
    "push": "`hf upload`; Hearth only downloads",
    "login": "`hf auth login`, whose token Hearth uses",
    "search": "`hearth models` for what fits this machine, or huggingface.co/models",
    "update": "`git pull` in the checkout that Hearth was installed from, and to install it again",
    "upgrade": "`git pull` in the checkout that Hearth was installed from, and to install it again",
    "uninstall": "`pip uninstall hearth-run`; `hearth doctor` names the folders that stay",
    "quantize": "`hearth compile MODEL --quant q4`",
    "convert": "`hearth compile MODEL`, which reads models as they were published",
    "embed": "`hearth serve MODEL` and its /v1/embeddings",
    "generate": "`hearth ask MODEL --raw`",
    "config": "options and environment variables; `hearth doctor` shows what is set",
    "install": "`hearth pull MODEL`",
    "get": "`hearth pull MODEL`",
    "start": "`hearth chat MODEL`, or `hearth serve MODEL` for programs",
    "version": "`hearth --version`",
    "web": "`hearth app`",
    "ui": "`hearth app`",
}
# Options of other programs -> ours.
FOREIGN_OPTIONS = {
    "--temp": "--temperature",
    "--ctx-size": "--context",
    "--num-ctx": "--context",
    "--n-ctx": "--context",
    "--ctx": "--context",
    "--max-model-len": "--context",
    "--n-predict": "--max-tokens",
    "--num-predict": "--max-tokens",
    "--max-new-tokens": "--max-tokens",
    "--repeat-penalty": "--repetition-penalty",
    "--system-prompt": "--system",
    "--chat-template": "--template",
    "--format": "--json-schema",
    "--schema": "--json-schema",
    "--verbose": "--stats",
    "--served-model-name": "--alias",
    "--think": "--thinking",
    "--dtype": "--quant",
    "--cache-type-k": "--kv",
    "--kv-cache-dtype": "--kv",
    "--num-threads": "--threads",
    "--model-draft": "--draft",
    "--yes-to-all": "--yes",
    "--ngl": "--gpu-layers",
    "--n-gpu-layers": "--gpu-layers",
    "--gpu": "--device",
    "--cuda": "--device",
}
_NO_MODEL_OPTION = ("--model", "-m", "--hf-repo", "--hf")
_NO_GPU = ("--ngl", "--n-gpu-layers", "--gpu", "--gpu-layers", "--device", "--cuda")


def closest(word: str, known: Iterable[str]) -> list[str]:
    """Up to three of the known words that are like this one, the likest first."""
    return difflib.get_close_matches(word.lower(), list(known), n=3, cutoff=_CLOSE)


def for_verb(word: str, known: Iterable[str]) -> str:
    """What to do instead of a verb that there is not."""
    if word in FOREIGN_VERBS:
        return f"Here that is {FOREIGN_VERBS[word]}."
    near = closest(word, known)
    if near:
        return did_you_mean(f"hearth {verb}" for verb in near)
    built_in = (STARTER, *PACKAGED)
    model = word if "/" in word or word.endswith(".gguf") else next(iter(closest(word, built_in)), None)
    if model is not None:
        return f"A verb stands before the model: hearth chat {model}"
    return "`hearth help` lists the verbs."


def for_option(option: str, known: Iterable[str], command: str) -> str:
    """What to do instead of an option that a command does not have."""
    known = list(known)
    name = option.partition("=")[0]
    if name in _NO_MODEL_OPTION:
        return f"The model stands behind the verb, without an option: {command} MODEL"
    if name in _NO_GPU and FOREIGN_OPTIONS.get(name, name) not in known:
        return "Leave it out: Hearth computes on the processor."
    if name in ("-v", "-V") and "--version" in known:
        return did_you_mean(["--version"])
    near = [FOREIGN_OPTIONS[name]] if FOREIGN_OPTIONS.get(name) in known else closest(name, known)
    if near:
        return did_you_mean(near)
    if " " not in command:
        return f"The options of a verb stand behind it: {command} VERB {option}"
    return f"`{command} --help` lists the options."
