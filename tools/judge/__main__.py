"""`python -m tools.judge`: trains three classifiers, measures them on pictures held out, writes their folders."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from tools.judge.export import load_folder, name_classes, save_folder
from tools.judge.models import RECIPES, Recipe
from tools.judge.pictures import Labelled, read_folder
from tools.judge.train import accuracy, train


def make(name: str, recipe: Recipe, seed: int, shown: Labelled, held_out: Labelled, out: Path) -> None:
    """Trains one model and writes OUT/NAME; its teacher's folder is beside it."""
    torch.manual_seed(seed)
    teacher = load_folder(out / recipe.teacher) if recipe.teacher else None
    model = recipe.build(len(shown.names))
    name_classes(model, shown.names)
    out.mkdir(parents=True, exist_ok=True)
    spent_s = train(model, teacher, shown, recipe, seed, out / f"{name}.pt")
    # What is measured is what is published: weights rounded to f16.
    right = accuracy(model.half().float(), held_out, recipe)
    record = {
        "seed": seed,
        "epochs": recipe.epochs,
        "peak_lr": recipe.peak_lr,
        "teacher": recipe.teacher,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "training_s": round(spent_s),
        "threads": torch.get_num_threads(),
        "held_out": len(held_out.classes),
        "accuracy": right,
    }
    save_folder(model, recipe, record, out / name)
    print(f"{name}: {record['parameters']:,} parameters, {right:.2%} of {len(held_out.classes):,} right", flush=True)


def main() -> None:
    """Reads the arguments; see the README beside this file."""
    parser = argparse.ArgumentParser(prog="python -m tools.judge", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"which: {', '.join(RECIPES)} (default: all)")
    parser.add_argument(
        "--pictures", type=Path, required=True, help="folder with train/CLASS/*.jpg and test/CLASS/*.jpg"
    )
    parser.add_argument("--out", type=Path, default=Path("build/judge"), help="folder for the models and checkpoints")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if unknown := set(args.models) - set(RECIPES):
        parser.error(f"no such model: {', '.join(sorted(unknown))}; there are {', '.join(RECIPES)}")

    shown, held_out = read_folder(args.pictures / "train"), read_folder(args.pictures / "test")
    for name, recipe in RECIPES.items():
        if not args.models or name in args.models:
            recipe = replace(recipe, epochs=args.epochs or recipe.epochs)
            make(name, recipe, args.seed, shown, held_out, args.out)


if __name__ == "__main__":
    main()
