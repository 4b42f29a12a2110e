"""Three small classifiers of pictures, trained here to judge what quantisation costs; README.md says how."""
