"""Texts in, what an encoder makes of them out: vectors, scores, labels.

`texts.py` puts texts as the model's authors do, `batcher.py` computes those of many callers together, `labels.py` says
what logits mean.
"""
