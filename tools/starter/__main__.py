"""`python -m tools.starter`: trains the starter model, measures it on held-out phrasings, writes its folder."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from tools.starter.evaluate import as_published, as_q4, grouped, right_answers
from tools.starter.export import load_folder, save_folder, save_record
from tools.starter.model import Llama, Shape
from tools.starter.text import held_out_questions
from tools.starter.tokenizer import ChatEncoder, train_tokenizer
from tools.starter.train import Recipe, train

HELD_OUT_SEED = 99


def measure(model: Llama, encoder: ChatEncoder, show_wrong: int) -> dict[str, Any]:
    """Accuracy in f32 and in q4, printed as a table."""
    questions = held_out_questions(HELD_OUT_SEED)
    right = right_answers(as_published(model), encoder, questions)
    f32 = grouped(questions, right)
    q4 = grouped(questions, right_answers(as_q4(model), encoder, questions))
    print(f"{'held-out phrasings':20s}    f32     q4")
    for group in [*(name for name in f32 if name != "all"), "all"]:
        print(f"{group:20s} {f32[group]:6.1f} {q4[group]:6.1f}")
    wrong = [question for question, mark in zip(questions, right, strict=True) if not mark]
    for question in wrong[:show_wrong]:
        print("wrong:", " | ".join(turn.question for turn in question.turns), "->", question.turns[-1].answer)
    return {"questions": len(questions), "accuracy_f32": f32, "accuracy_q4": q4}


def main() -> None:
    """Reads the arguments; see the README beside this file."""
    parser = argparse.ArgumentParser(prog="python -m tools.starter", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/starter"), help="folder to write")
    parser.add_argument("--checkpoint", type=Path, default=Path("build/starter.pt"), help="continued where it exists")
    parser.add_argument("--evaluate", type=Path, metavar="FOLDER", help="only measure the model in this folder")
    parser.add_argument("--snapshot", action="store_true", help="write the average of the checkpoint, do not train")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--show-wrong", type=int, default=0, metavar="N", help="print N questions answered wrongly")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    if args.evaluate:
        model, tokenizer = load_folder(args.evaluate)
        measure(model, ChatEncoder(tokenizer), args.show_wrong)
        return

    recipe = replace(Recipe(), steps=args.steps, seed=args.seed)
    args.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    tokenizer = train_tokenizer(recipe.seed, Shape.vocab_size)
    encoder = ChatEncoder(tokenizer)
    model = Llama(Shape())
    if args.snapshot:
        state = torch.load(args.checkpoint, weights_only=True)
        model.load_state_dict(state["average"])
        recipe, training_s = replace(recipe, steps=state["step"]), state["spent_s"]
    else:
        training_s = train(model, encoder, recipe, args.checkpoint, args.threads)
    save_folder(model, tokenizer, args.out)
    record = {
        "recipe": asdict(recipe),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "tokens": recipe.steps * recipe.tokens_per_step,
        "training_s": round(training_s),
        "threads": args.threads,
        "snapshot": args.snapshot,
        **measure(model, encoder, args.show_wrong),
    }
    save_record(args.out, model.shape, record)


if __name__ == "__main__":
    main()
