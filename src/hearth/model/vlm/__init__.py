"""Language models that see: what makes rows of embeddings of a picture, in front of a decoder of `model.text`.

A network has two functions then: `image`, from pixels to embeddings, and `forward`, which takes those in place of the
embeddings of placeholder tokens. `load.load_family` is the door for language models of both kinds.
"""
